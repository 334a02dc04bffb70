// The bytes of pictures that this process holds ahead of the network, encoded and decoded: bounded, however many pictures there are and however large.

const mostBytesAhead = 1024 ** 3;

interface Waiting {
  readonly hold: Hold;
  readonly bytes: number;
  readonly go: () => void;
}

export class Room {
  /** One picture larger than that passes alone. */
  limit: number;
  /** The most bytes that were held at a time. */
  most = 0;
  readonly #waiting: Waiting[] = [];
  readonly #resting = new Set<Hold>();
  readonly #listeners = new Set<() => void>();
  #held = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Whether a picture waits for others to be done with: what is there goes to the network as it is. */
  get isTight(): boolean {
    return this.#waiting.length > 0;
  }

  /** Calls when it becomes tight, until the function that it returns is called. */
  onTight(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  open(): Hold {
    return new Hold(this);
  }

  /** Changes what a hold has; more is waited for, in order. */
  async change(hold: Hold, bytes: number): Promise<void> {
    if (bytes <= hold.bytes) {
      this.#take(hold, bytes);
    } else {
      const wait = new Promise<void>((resolve) => this.#waiting.push({ hold, bytes, go: resolve }));
      this.#admit();
      if (this.isTight) for (const listener of this.#listeners) listener();
      return wait;
    }
    this.#admit();
  }

  /** What rests brings nothing forward, as what waits for room: it waits for others to be done. */
  rest(hold: Hold, rests: boolean): void {
    if (rests) this.#resting.add(hold);
    else this.#resting.delete(hold);
    this.#admit();
  }

  #take(hold: Hold, bytes: number): void {
    this.#held += bytes - hold.bytes;
    hold.bytes = bytes;
    this.most = Math.max(this.most, this.#held);
  }

  #admit(): void {
    for (let first = this.#waiting[0]; first && this.#fits(first); first = this.#waiting[0]) {
      this.#waiting.shift();
      this.#take(first.hold, first.bytes);
      first.go();
    }
  }

  /** When all that is held is held by who waits or rests, only more room brings anything forward. */
  #fits({ hold, bytes }: Waiting): boolean {
    if (this.#held + bytes - hold.bytes <= this.limit) return true;
    const idle = [...this.#waiting.map((waiting) => waiting.hold), ...this.#resting];
    return this.#held === idle.reduce((sum, one) => sum + one.bytes, 0);
  }
}

/** One picture's part. */
export class Hold {
  /** Kept by the room. */
  bytes = 0;

  constructor(private readonly room: Room) {}

  /** Resolves when there is room for so many bytes in all. */
  resize(bytes: number): Promise<void> {
    return this.room.change(this, bytes);
  }

  /** While it waits for something else than room. */
  rest(rests: boolean): void {
    this.room.rest(this, rests);
  }

  release(): void {
    void this.resize(0);
  }
}

export const ahead = new Room(mostBytesAhead);
