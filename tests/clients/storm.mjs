// Tracks events without a pause until standard input ends; prints the ids of all of them.

import { AnalyticsClient } from "../../clients/js/analytics.js";

const [url, token] = process.argv.slice(2);
const client = new AnalyticsClient(url, token, {
  flushMilliseconds: 10,
  firstPauseMilliseconds: 10,
  longestPauseMilliseconds: 100,
  maxQueue: 100_000,
});
const ids = [];
let isEnding = false;
process.stdin.on("end", () => {
  isEnding = true;
});
process.stdin.resume();
while (!isEnding) {
  ids.push(client.track("storm", { number: ids.length }));
  await new Promise((resolve) => setTimeout(resolve, 2));
}
while (client.pending) await client.flush();
process.stdout.write(JSON.stringify(ids));
