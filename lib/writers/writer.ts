// What every format of results has in common, and writing them: to outputs as they come, or as text for the caller.
import type { DetectionResult } from '../detector/result.js';
import { CornerNetError } from '../errors.js';
import type { TextOutput } from '../output-file.js';
import { shown } from '../validation.js';

/** A picture's result, or why it has none. */
export type Outcome =
  | Pick<DetectionResult, 'image' | 'width' | 'height' | 'detections'>
  | { readonly image: string | null; readonly error: { readonly code: string; readonly message: string } };

/** Results in any number: an array, or what `detectAll` gives, of which nothing is held in memory. */
export type Outcomes = Iterable<Outcome> | AsyncIterable<Outcome>;

/** A form of results, of one list of them: it may count them. */
export interface ResultFormat {
  readonly head?: string;
  /** Has no place for pictures that failed. */
  readonly omitsFailures?: true;
  /** The text of the next result. */
  of(result: Outcome): string;
  /** What closes the text. */
  tail?(): string;
}

export interface ResultWriter {
  /** None of its outputs tells of pictures that failed. */
  readonly omitsFailures: boolean;
  /** In the inputs' order. */
  write(result: Outcome): Promise<void>;
  /** Everything was written that will be. */
  end(): Promise<void>;
  /** Something failed: no half file is left. */
  discard(): Promise<void>;
}

/** Each result goes to every output, in its format. */
export function resultWriter(...outputs: readonly (readonly [TextOutput, ResultFormat])[]): ResultWriter {
  const write = async (output: TextOutput, text = ''): Promise<void> => (text === '' ? undefined : output.write(text));
  let begun = false;
  const begin = async (): Promise<void> => {
    if (begun) return;
    begun = true;
    for (const [output, format] of outputs) await write(output, format.head);
  };
  return {
    omitsFailures: outputs.every(([, format]) => format.omitsFailures === true),
    write: async (result) => {
      await begin();
      const texts = outputs.map(([output, format]) => [output, format.of(result)] as const);
      for (const [output, text] of texts) await write(output, text);
    },
    end: async () => {
      await begin();
      for (const [output, format] of outputs) await write(output, format.tail?.());
      for (const [output] of outputs) await output.commit();
    },
    discard: async () => {
      for (const [output] of outputs) await output.discard();
    },
  };
}

function isOutcome(one: unknown): one is Outcome {
  const { detections, error } = (one ?? {}) as { readonly detections?: unknown; readonly error?: unknown };
  return Array.isArray(detections) || (typeof error === 'object' && error !== null);
}

/**
 * Results one after the other.
 * @throws {CornerNetError} `ERR_INPUT` for what is none, such as one result by itself.
 */
export async function* outcomesOf(results: Outcomes): AsyncGenerator<Outcome, void> {
  const given = Object(results) as object;
  if (!(Symbol.asyncIterator in given) && !(Symbol.iterator in given)) {
    throw new CornerNetError('ERR_INPUT', `results must be an array of them, or what detectAll gives, not ${shown(results)}`);
  }
  for await (const result of results) {
    if (!isOutcome(result))
      throw new CornerNetError('ERR_INPUT', `a result must have detections, or an error, which ${shown(result)} has not`);
    yield result;
  }
}

/** The whole text, in pieces. */
export async function* textOf(results: Outcomes, format: ResultFormat): AsyncGenerator<string, void> {
  if (format.head !== undefined) yield format.head;
  for await (const result of outcomesOf(results)) yield format.of(result);
  if (format.tail) yield format.tail();
}

/** What is recorded of a failure. */
export function recordOf({ code, message }: { readonly code: string; readonly message: string }): { code: string; message: string } {
  return { code, message };
}
