// The React hook, with the few functions of React that it uses.

import assert from "node:assert/strict";
import { register } from "node:module";
import { test } from "node:test";

register(
  `data:text/javascript,${encodeURIComponent(`
    export async function resolve(specifier, context, next) {
      if (specifier !== "react") return next(specifier, context);
      return { url: new URL("./fake_react.mjs", "${import.meta.url}").href, shortCircuit: true };
    }
  `)}`,
);
const { mount } = await import("./fake_react.mjs");
const { useAnalytics } = await import("../../clients/js/react.js");

const sent = [];
globalThis.fetch = async (url, { body, headers }) => {
  sent.push(...JSON.parse(body).map(({ type }) => [type, url, headers.Authorization]));
  return new Response('{"rejected": []}', { status: 202 });
};
const OPTIONS = { storage: null };

test("track and flush stay the same, another token is taken over, nothing is lost", async () => {
  let renders = 0;
  const component = mount(
    (url, token) => {
      const analytics = useAnalytics(url, token, OPTIONS);
      if (renders++ === 0) analytics.track("while rendering");
      return analytics;
    },
    "http://a",
    "t1",
  );
  const { track, flush } = component.result;
  track("first");
  component.render("http://a", "t2");
  assert.equal(component.result.track, track);
  await flush();
  assert.deepEqual(sent.splice(0), [
    ["while rendering", "http://a/events", "Bearer t2"],
    ["first", "http://a/events", "Bearer t2"],
  ]);
  track("unsent");
  component.render("http://b", "t2");
  track("second");
  component.unmount();
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual(sent, [
    ["unsent", "http://a/events", "Bearer t2"],
    ["second", "http://b/events", "Bearer t2"],
  ]);
});
