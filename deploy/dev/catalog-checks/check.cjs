// event-catalog/ before its peers: AsyncAPI's parser and EventCatalog's linter, neither of which may have anything to
// say but notes. Then the check itself is checked: each fault that is put into a copy must be found.
//
//     node check.cjs <folder with node_modules> <catalog>
"use strict";

const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const { createRequire } = require("node:module");
const os = require("node:os");
const path = require("node:path");

const [installed, catalog] = process.argv.slice(2).map((folder) => path.resolve(folder));
const DOCUMENT = "asyncapi.json";
const WARNING = 1; // 0 is an error, 2 and 3 are notes

async function asyncapi(folder) {
  const { Parser } = createRequire(path.join(installed, "package.json"))("@asyncapi/parser");
  const { document, diagnostics } = await new Parser().parse(fs.readFileSync(path.join(folder, DOCUMENT), "utf8"));
  const found = diagnostics.filter(({ severity }) => severity <= WARNING);
  const messages = found.map((each) => `${DOCUMENT}: /${each.path.join("/")}: ${each.message} (${each.code})`);
  const looked = document ? document.allMessages().all().length : 0;
  if (!looked && !messages.length) messages.push(`${DOCUMENT}: the parser found no message in it`);
  return { messages, looked };
}

// What the linter takes for pages: it says "no files found" and succeeds where it looked in the wrong place.
function pages(folder) {
  const all = fs.readdirSync(folder, { withFileTypes: true });
  return all.reduce((count, entry) => {
    const inner = path.join(folder, entry.name);
    if (entry.isDirectory()) return count + pages(inner);
    return count + (entry.name === "index.mdx" || path.basename(folder) === "teams" ? 1 : 0);
  }, 0);
}

function eventcatalog(folder) {
  const program = path.join(installed, "node_modules/@eventcatalog/linter/dist/cli/index.js");
  const run = spawnSync(process.execPath, [program, "--fail-on-warning", folder], { encoding: "utf8" });
  const looked = Number(/(\d+) files checked/.exec(run.stdout)?.[1] ?? 0);
  const messages = run.status === 0 ? [] : [run.stdout.trim() || run.stderr.trim() || "the linter failed"];
  if (run.status === 0 && (!looked || looked !== pages(folder))) {
    messages.push(`the linter looked at ${looked} pages, and there are ${pages(folder)}`);
  }
  return { messages, looked };
}

function replaced(file, from, to) {
  return (folder) => {
    const place = path.join(folder, file);
    const text = fs.readFileSync(place, "utf8");
    if (!text.includes(from)) throw new Error(`${file} holds no ${from}, so nothing can be broken there`);
    fs.writeFileSync(place, text.replace(from, to));
  };
}

function changed(change) {
  return (folder) => {
    const place = path.join(folder, DOCUMENT);
    const document = JSON.parse(fs.readFileSync(place, "utf8"));
    change(document);
    fs.writeFileSync(place, JSON.stringify(document));
  };
}

function emptied(folder) {
  for (const name of fs.readdirSync(folder)) fs.rmSync(path.join(folder, name), { recursive: true });
}

const SERVICE = "services/user-service/index.mdx";
const FAULTS = [
  ["a version that is not there", eventcatalog, replaced(SERVICE, 'version: "2.0.0"', 'version: "99.0.0"')],
  ["an event that is not there", eventcatalog, replaced(SERVICE, '- id: "user.created"', '- id: "user.exploded"')],
  ["a channel that is not there", eventcatalog, replaced(SERVICE, "queue.user-service", "queue.nobody")],
  ["a page without an owner", eventcatalog, replaced(SERVICE, "owners:", "formerOwners:")],
  ["a catalog without pages", eventcatalog, emptied],
  ["a message that is not there", asyncapi, changed((it) => {
    Object.values(it.operations)[0].messages[0].$ref += "0";
  })],
  ["a payload that is no schema", asyncapi, changed((it) => {
    it.components.schemas["user.created.v2"].properties.email.type = "strnig";
  })],
  ["a queue without its name", asyncapi, changed((it) => {
    delete it.channels["queue.user-service"].bindings.sqs.queue.name;
  })],
];

async function main() {
  const parsed = await asyncapi(catalog);
  const linted = eventcatalog(catalog);
  const messages = [...parsed.messages, ...linted.messages];
  if (messages.length) {
    console.error(messages.join("\n"));
    return 1;
  }
  console.error(`AsyncAPI's parser takes ${DOCUMENT} with ${parsed.looked} messages, EventCatalog's linter ${linted.looked} pages`);
  for (const [what, judge, fault] of FAULTS) {
    const copy = fs.mkdtempSync(path.join(os.tmpdir(), "waypost-catalog-"));
    try {
      fs.cpSync(catalog, copy, { recursive: true });
      fault(copy);
      if (!(await judge(copy)).messages.length) {
        console.error(`${what} was put into a copy, and ${judge.name} let it pass: this check checks nothing`);
        return 1;
      }
    } finally {
      fs.rmSync(copy, { recursive: true });
    }
  }
  console.error(`${FAULTS.length} faults that were put into copies were found`);
  return 0;
}

main().then((code) => { process.exitCode = code; });
