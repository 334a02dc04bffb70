// COCO's 80 object classes in the order of the published checkpoints, and the category ids of its annotation files, which have gaps.

/** Names by class id. */
export const cocoClasses: readonly string[] = `
  person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign, parking meter, bench,
  bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis,
  snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, wine glass, cup, fork,
  knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed,
  dining table, toilet, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock,
  vase, scissors, teddy bear, hair drier, toothbrush`
  .trim()
  .split(/,\s+/);

const gaps = [12, 26, 29, 30, 45, 66, 68, 69, 71, 83];

/** Category ids by class id (instances_*.json). */
export const cocoCategoryIds: readonly number[] = Array.from({ length: 90 }, (_, i) => i + 1).filter((id) => !gaps.includes(id));

/** Whether these are COCO's classes in COCO's order. */
export function areCocoClasses(classes: readonly string[]): boolean {
  return classes.length === cocoClasses.length && classes.every((name, id) => name === cocoClasses[id]);
}
