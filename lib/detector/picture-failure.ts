// The picture that a call with one or several pictures failed at.
import { CornerNetError } from '../errors.js';

export class PictureFailure extends Error {
  readonly #image: string | null;
  readonly #index: number;
  readonly #error: CornerNetError;

  constructor(image: string | null, index: number, error: CornerNetError) {
    super(error.message);
    this.#image = image;
    this.#index = index;
    this.#error = error;
  }

  /** For the caller, with the stack of where it is called: says which of `count` pictures it was. */
  among(count: number | undefined): CornerNetError {
    const { code, message } = this.#error;
    return new CornerNetError(code, count === undefined ? message : this.#place(count) + message, { cause: this.#error });
  }

  #place(count: number): string {
    const name = this.#image === null ? '' : ` (${this.#image})`;
    return `picture ${this.#index + 1} of ${count}${name}: `;
  }
}
