// The JavaScript client against a server whose answers each test prescribes.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { afterEach, test } from "node:test";
import { AnalyticsClient, newId } from "../../clients/js/analytics.js";

const QUICK = { flushMilliseconds: 5, firstPauseMilliseconds: 2, longestPauseMilliseconds: 10, storage: null };
const cleanups = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

/** A server that answers with *answers* in turn, the last one for ever. */
async function serve(...answers) {
  const requests = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const answer = answers[Math.min(requests.length, answers.length - 1)];
    requests.push({ events: JSON.parse(body), headers: request.headers, at: Date.now() });
    const { status, headers, json } = typeof answer === "function" ? answer(JSON.parse(body)) : answer;
    if (status === 0) return response.destroy();
    response.writeHead(status, { "Content-Type": "application/json", ...headers });
    response.end(JSON.stringify(json ?? {}));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, requests };
}

function client(url, options = {}, token = "t") {
  const created = new AnalyticsClient(url, token, { ...QUICK, ...options });
  cleanups.push(() => created.close());
  return created;
}

async function until(condition) {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

const OK = { status: 202, json: { accepted: 1, rejected: [] } };
const idsOf = (requests) => requests.map(({ events }) => events.map(({ id }) => id));

/** A localStorage. */
class MemoryStorage {
  items = new Map();
  get length() {
    return this.items.size;
  }
  key(index) {
    return [...this.items.keys()][index];
  }
  getItem(key) {
    return this.items.get(key) ?? null;
  }
  setItem(key, value) {
    this.items.set(key, value);
  }
  removeItem(key) {
    this.items.delete(key);
  }
}

test("an event is sent with all that it needs", async () => {
  const { url, requests } = await serve(OK);
  const payload = { a: 1 };
  const id = client(`${url}/`).track("click", payload, "u1");
  payload.a = 2;
  await until(() => requests.length);
  const [{ events, headers }] = requests;
  assert.equal(headers.authorization, "Bearer t");
  const { ts, sent_at: sentAt, ...event } = events[0];
  assert.deepEqual(event, { id, type: "click", src: "web_app", payload: { a: 1 }, user_id: "u1" });
  assert.ok(Date.parse(ts) <= Date.parse(sentAt));
});

test("ids are UUIDs of version 7 that sort by time", () => {
  const ids = [newId(1000), newId(2 ** 40), newId(2 ** 40 + 1), newId()];
  for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.deepEqual([...ids].sort(), ids);
  assert.equal(new Set(Array.from({ length: 1000 }, () => newId())).size, 1000);
});

test("a full batch goes at once, fewer events after a while", async () => {
  const { url, requests } = await serve(OK);
  const slow = client(url, { flushMilliseconds: 60_000 });
  for (let count = 0; count < 10; count += 1) slow.track("a");
  await until(() => requests.length === 1);
  assert.equal(requests[0].events.length, 10);
  slow.track("b");
  await slow.flush();
  assert.equal(requests[1].events.length, 1);
  assert.equal(slow.pending, 0);
});

for (const [name, failure] of [
  ["429", { status: 429, headers: { "Retry-After": "0" } }],
  ["503", { status: 503 }],
  ["500", { status: 500 }],
  ["no answer", { status: 0 }],
]) {
  test(`after ${name} the same events are sent again, under the same ids`, async () => {
    const { url, requests } = await serve(failure, failure, OK);
    const sender = client(url);
    const ids = [sender.track("a"), sender.track("b")];
    await until(() => sender.pending === 0);
    assert.deepEqual(idsOf(requests), [ids, ids, ids]);
  });
}

test("the pause is that of Retry-After, and grows without it", async () => {
  const { url, requests } = await serve({ status: 503, headers: { "Retry-After": "1" } }, OK);
  const sender = client(url);
  sender.track("a");
  await until(() => sender.pending === 0);
  assert.ok(requests[1].at - requests[0].at >= 990);
});

test("other errors are not repeated, and take only their own event with them", async () => {
  const answer = (events) => ({ status: events.some(({ type }) => type === "bad") ? 403 : 202 });
  const { url, requests } = await serve(answer);
  const dropped = [];
  const sender = client(url, { onDrop: (events, reason) => dropped.push([events.map(({ type }) => type), reason]) });
  for (const type of ["a", "b", "bad", "c", "d"]) sender.track(type);
  await sender.flush();
  assert.equal(sender.pending, 0);
  assert.deepEqual(dropped, [[["bad"], "status_403"]]);
  const taken = requests.filter(({ events }) => events.every(({ type }) => type !== "bad"));
  assert.deepEqual(
    taken.flatMap(({ events }) => events.map(({ type }) => type)),
    ["a", "b", "c", "d"],
  );
});

test("an expired token costs no event", async () => {
  const { url, requests } = await serve({ status: 401 }, OK);
  const sender = client(url, { longestPauseMilliseconds: 60_000 });
  const id = sender.track("a");
  await sender.flush();
  assert.equal(sender.pending, 1);
  sender.setToken(() => Promise.resolve("new"));
  await until(() => sender.pending === 0);
  assert.deepEqual(idsOf(requests), [[id], [id]]);
  assert.equal(requests[1].headers.authorization, "Bearer new");
});

test("verdicts are reported", async () => {
  const rejected = [{ index: 0, id: "x", code: "schema", message: "no" }];
  const { url } = await serve({ status: 202, json: { accepted: 0, rejected } });
  const reported = [];
  const sender = client(url, { onReject: (found) => reported.push(...found) });
  sender.track("a");
  await sender.flush();
  assert.deepEqual(reported, rejected);
});

test("the queue is bounded, and says what it drops", async () => {
  const { url } = await serve({ status: 503 });
  const dropped = [];
  const sender = client(url, { maxQueue: 3, onDrop: (events, reason) => dropped.push([events[0].type, reason]) });
  for (let count = 0; count < 5; count += 1) sender.track(`e${count}`);
  assert.equal(sender.pending, 3);
  assert.deepEqual(dropped, [
    ["e0", "queue_full"],
    ["e1", "queue_full"],
  ]);
});

test("a payload that is no JSON is an error of the caller", async () => {
  const { url } = await serve(OK);
  assert.throws(() => client(url).track("a", { value: 1n }), TypeError);
});

test("what was not sent is taken over by the next client", async () => {
  const storage = new MemoryStorage();
  storage.setItem("other", "stays");
  storage.setItem("fpp-analytics:broken", "{");
  const failing = await serve({ status: 503 });
  const first = client(failing.url, { storage });
  const ids = [first.track("a"), first.track("b")];
  await first.close();
  const { url, requests } = await serve(OK);
  const second = client(url, { storage });
  await until(() => second.pending === 0);
  assert.deepEqual(idsOf(requests), [ids]);
  assert.deepEqual([...storage.items.keys()], ["other"]);
});

test("storage that is full or forbidden costs no event", async () => {
  const storage = new MemoryStorage();
  storage.setItem = () => {
    throw new Error("QuotaExceededError");
  };
  const { url, requests } = await serve(OK);
  const sender = client(url, { storage });
  sender.track("a");
  await sender.flush();
  assert.equal(requests.length, 1);
});

test("a large backlog goes in several requests", async () => {
  const { url, requests } = await serve({ status: 503 }, OK);
  const minute = 60_000;
  const pauses = { firstPauseMilliseconds: minute, longestPauseMilliseconds: minute };
  const sender = client(url, { batchSize: 10_000, flushMilliseconds: minute, ...pauses });
  for (let count = 0; count < 250; count += 1) sender.track("a");
  await sender.flush();
  assert.equal(sender.pending, 250);
  await sender.flush();
  assert.deepEqual(
    requests.map(({ events }) => events.length),
    [100, 100, 100, 50],
  );
});
