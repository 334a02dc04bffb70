// What a run beside the peers leaves as JSON: every field, so that kept runs can be read back.
import { z } from 'zod';

const positive = z.number().positive();
const share = z.record(z.string(), positive);

/** The device's own limits, as limits.py measures them. */
export const limitsSchema = z.strictObject({
  name: z.string(),
  /** By precision. */
  matmulFlops: share,
  copyBytesPerSecond: positive,
});

const peerSchema = z.strictObject({
  version: z.string(),
  peakBytes: positive,
  /** Seconds of each round. */
  rounds: z.array(positive),
  /** Median of the rounds. */
  seconds: positive,
  /** Relative root mean square distance of the heatmap's logits to PyTorch's in fp32; null without it. */
  distance: z.number().min(0).nullable(),
});

const caseSchema = z.strictObject({
  name: z.string(),
  width: z.int().min(1),
  height: z.int().min(1),
  flip: z.boolean(),
  /** Multiply-adds of the last level's graph, each view. */
  macs: positive,
  peers: z.record(z.string(), peerSchema),
  /** Peers that could not be run, and why. */
  missing: z.record(z.string(), z.string()),
  ratios: z.array(
    z.strictObject({
      ours: z.string(),
      peer: z.string(),
      what: z.enum(['speed', 'memory']),
      goal: positive,
      /** How many times as fast as the peer (the median of the rounds' ratios), or how many times its memory; null where the peer was not measured. */
      ratio: positive.nullable(),
      met: z.boolean().nullable(),
    }),
  ),
  /** Share of the measured matmul peak of the same precision that ours reaches, everything in its clock counted. */
  roofline: share,
  /** Seconds a batch of the whole way, and how many times as fast it is as the same detector's network alone. */
  wholeWay: z.record(z.string(), z.strictObject({ seconds: positive, ratio: positive })),
});

export const peersReportSchema = z.strictObject({
  date: z.iso.datetime(),
  machine: z.strictObject({ cpu: z.string(), cores: z.int().min(1), load: z.number().min(0) }),
  limits: limitsSchema,
  device: z.string(),
  rounds: z.int().min(1),
  threads: z.int().min(1),
  batch: z.int().min(1),
  insideTheClock: z.string(),
  cases: z.array(caseSchema),
});

export type Limits = z.infer<typeof limitsSchema>;
export type PeerResult = z.infer<typeof peerSchema>;
export type CaseResult = z.infer<typeof caseSchema>;
export type PeersReport = z.infer<typeof peersReportSchema>;
