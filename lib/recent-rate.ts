// How fast an amount has grown of late.

const windowMs = 30_000;

export class RecentRate {
  /** Of the window, and the last before it. */
  #samples: { readonly time: number; readonly amount: number }[] = [];

  /** What there is by now. */
  add(amount: number): void {
    const now = performance.now();
    this.#samples.push({ time: now, amount });
    while (this.#samples.length > 2 && now - (this.#samples[1]?.time ?? now) > windowMs) this.#samples.shift();
  }

  /** A second, up to the amount that there is now; 0 while no time has passed. */
  perSecond(amount: number): number {
    const [oldest] = this.#samples;
    const seconds = oldest ? (performance.now() - oldest.time) / 1000 : 0;
    return oldest && seconds > 0 ? Math.max(0, amount - oldest.amount) / seconds : 0;
  }

  /** Begins anew with what there is by now: what the time until now was spent on does not count. */
  restart(amount: number): void {
    this.#samples = [];
    this.add(amount);
  }
}
