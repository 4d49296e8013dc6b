// Sends the messages on standard input with the official SDK and prints what the SDK says of them.
// In: {host, key, options, messages: [{kind, ...fields}]}. Out: {errors: [text], delivered: n}.
import { readFileSync } from "node:fs";
import { Analytics } from "@segment/analytics-node";

const { host, key, options, messages } = JSON.parse(readFileSync(0, "utf8"));
const analytics = new Analytics({
  host,
  writeKey: key,
  flushAt: options.batch,
  flushInterval: 100,
  maxRetries: options.retries,
});

const errors = [];
let delivered = 0;
analytics.on("error", (error) => errors.push(String(error.reason ?? error)));
for (const { kind, ...fields } of messages) {
  analytics[kind](fields, (error) => { if (!error) delivered += 1; });
}
await analytics.closeAndFlush({ timeout: options.patience_seconds * 1000 });
console.log(JSON.stringify({ errors, delivered }));
