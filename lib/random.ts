// Random numbers that depend on nothing but their seed.

/** Mixes whole numbers into one of 32 bits (MurmurHash3's finalizer between them). */
function mixed(numbers: readonly number[]): number {
  let hash = 0x9e3779b9;
  for (const number of numbers) {
    hash = Math.imul(hash ^ (number >>> 0), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash ^= hash >>> 16;
    hash = (hash + Math.floor(number / 2 ** 32)) | 0;
  }
  return hash >>> 0;
}

/** A whole number below 2^53 for a place in a run: the same for the same numbers. */
export function seedOf(...numbers: readonly number[]): number {
  return (mixed([...numbers, 1]) >>> 11) * 2 ** 32 + mixed([...numbers, 2]);
}

/** 0 to `count` - 1 in an order drawn from the seed (Fisher and Yates). */
export function permutation(count: number, ...seed: readonly number[]): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let last = count - 1; last > 0; last--) {
    const other = seedOf(...seed, last) % (last + 1);
    const swapped = order[last] as number;
    order[last] = order[other] as number;
    order[other] = swapped;
  }
  return order;
}
