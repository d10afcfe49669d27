// pg-boss and graphile-worker as their documents say they are fastest: jobs that do nothing, queued
// in batches of a thousand while they are worked off, and worked off alone.
// Usage: node peers.mjs PEER postgres://… JOBS
import { PgBoss } from "pg-boss";
import { makeWorkerUtils, run, Logger } from "graphile-worker";

const [, , peer, connectionString, jobs] = process.argv;
const COUNT = Number(jobs);
const BATCH = 1_000;
const LOOPS = 4;

const silent = new Logger(() => () => {});

/** Runs `loops` of a step at once until one says that there is no more. */
const loops = (step) => Promise.all(Array.from({ length: LOOPS }, async () => {
  while (await step()) { /* the step has worked */ }
}));

const batches = (add) => {
  let left = COUNT;
  return loops(async () => {
    if (left <= 0) return false;
    const size = Math.min(BATCH, left);
    left -= size;
    await add(size);
    return true;
  });
};

const timed = async (what, work) => {
  const begun = performance.now();
  await work();
  const value = COUNT / ((performance.now() - begun) / 1_000);
  console.log(JSON.stringify({ who: peer, what, value, unit: "jobs/s" }));
};

async function pgBoss() {
  const boss = new PgBoss({ connectionString, max: 10 });
  boss.on("error", console.error);
  await boss.start();
  await boss.createQueue("noop");
  const add = () => batches((size) =>
    boss.insert("noop", Array.from({ length: size }, () => ({ data: {} }))));
  const work = async () => {
    let done = 0;
    await loops(async () => {
      const fetched = await boss.fetch("noop", { batchSize: BATCH });
      if (fetched.length > 0) await boss.complete("noop", fetched.map((job) => job.id));
      done += fetched.length;
      return done < COUNT;
    });
  };
  await timed("from enqueue to done", () => Promise.all([add(), work()]));
  await add();
  await timed("claim and complete", work);
  await boss.stop({ graceful: false });
}

async function graphileWorker() {
  const utils = await makeWorkerUtils({ connectionString, logger: silent });
  await utils.migrate();
  const add = () => batches((size) =>
    utils.addJobs(Array.from({ length: size }, () => ({ identifier: "noop", payload: {} }))));
  const work = async () => {
    let done = 0;
    let finished;
    const all = new Promise((resolve) => { finished = resolve; });
    const preset = { worker: {
      connectionString,
      concurrentJobs: 24,
      maxPoolSize: 10,
      localQueue: { size: 500 },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
    } };
    const taskList = { noop: () => { done += 1; if (done === COUNT) finished(); } };
    const runner = await run({ preset, taskList, logger: silent, noHandleSignals: true });
    await all;
    await runner.stop();
  };
  await timed("from enqueue to done", () => Promise.all([add(), work()]));
  await add();
  await timed("claim and complete", work);
  await utils.release();
}

await ({ "pg-boss": pgBoss, "graphile-worker": graphileWorker })[peer]();
process.exit(0);
