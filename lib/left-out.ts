// What was left out: how many of a kind, and the first of them.

export class LeftOut {
  readonly #kinds = new Map<string, { count: number; first: string }>();

  add(kind: string, what: string): void {
    const known = this.#kinds.get(kind);
    if (known) known.count++;
    else this.#kinds.set(kind, { count: 1, first: what });
  }

  get sentences(): string[] {
    return [...this.#kinds].map(([kind, { count, first }]) => `${count} ${kind} (the first: ${first})`);
  }
}
