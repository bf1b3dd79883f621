// A bureau at a hub, whole, by the wire contract alone: node 18 or newer and npm `jose`, nothing of the hub's code.
// One command a call; JSON on standard output, one line each; what goes wrong on standard error and in the exit status:
// 1 the hub refused · 2 something received does not hold · 3 the hub could not be reached, try again · 64 usage

import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import * as messages from "./messages.mjs";
import { Broken, check, digest, verifyLog, verifyReceipt } from "./receipt.mjs";

const HUB = (process.env.XIEBAN_HUB ?? "http://127.0.0.1:8420").replace(/\/+$/, "");
const HOME = process.env.XIEBAN_HOME ?? "bureau";
const CATALOGUE = "https://xieban.example/v1/protocols/case-assistance/1.0";
const TRIES = Number(process.env.XIEBAN_TRIES ?? 6);

// The bureau's folder -----------------------------------------------------------------------------------

const at = (name) => join(HOME, name);
const load = (name) => JSON.parse(fs.readFileSync(at(name), "utf8"));
const listed = (name) => (fs.existsSync(at(name)) ? fs.readdirSync(at(name)) : []);
const print = (document) => console.log(JSON.stringify(document));

/** A file is there whole or not at all, even if the power fails; what we keep is for this account alone. */
function keep(name, content) {
  fs.mkdirSync(dirname(at(name)), { recursive: true, mode: 0o700 });
  const file = fs.openSync(at(name + ".new"), "w", 0o600);
  fs.writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content));
  fs.fsyncSync(file);
  fs.closeSync(file);
  fs.renameSync(at(name + ".new"), at(name));
}

// hub.jwks comes from the hub's operator by another way than the hub itself: who asks the hub for the keys that its
// receipts are to be checked with, has checked nothing.
const hubKeys = () => load("hub.jwks");
const ourselves = () => load("keys.json");

// The hub -----------------------------------------------------------------------------------------------

/** The hub said no; `problem` is its RFC 9457 answer. */
class Refused extends Error {
  constructor(problem) {
    super(`${problem.status} ${problem.title} (${problem.type})`);
    this.problem = problem;
  }
}

/** Nobody knows whether the call was carried out. Everything here may be done again: nothing happens twice. */
class Undecided extends Error {}

/** One call, with the same bytes again while there is no answer, or one that says `retryable`. */
async function call(method, path, { body, token = true } = {}) {
  let problem;
  for (let tried = 1; tried <= TRIES; tried++) {
    let asked = 0;
    const headers = body === undefined ? {} : { "Content-Type": "application/jose" };
    if (token) {
      const { organisation, keys } = ourselves();
      headers.Authorization = `Bearer ${await messages.bearer(keys, organisation, await hubId())}`;
    }
    try {
      const response = await fetch(HUB + path, { method, headers, body, signal: AbortSignal.timeout(60_000) });
      const answer = JSON.parse(await response.text());
      if (response.ok) return answer;
      problem = answer;
      asked = Number(response.headers.get("Retry-After")) || 0;
    } catch (error) {
      // No connection, one that broke off, or an answer that is not JSON and so not the hub's.
      problem = { retryable: true, title: error.cause?.message ?? error.message };
    }
    if (problem.retryable === false) throw new Refused(problem);
    // Part of the pause is chance: partners of a hub that was away shall not come back in step.
    const seconds = Math.max(0.1 * 2 ** tried, Math.min(asked, 60)) * (1 + Math.random() / 2);
    if (tried < TRIES) await pause(1000 * seconds);
  }
  throw new Undecided(problem.title);
}

let known;
/** The hub's id: the audience of tokens, and the home of the cases opened there. */
async function hubId() {
  known ??= (await call("GET", "/v1/hub", { token: false })).id;
  return known;
}

const publishedBy = async (id) => (await call("GET", `/v1/organisations/${id}/jwks.json?history=1`)).keys;
const sealedTo = async (id) => messages.openersOf(id, (await call("GET", `/v1/organisations/${id}/jwks.json`)).keys);

// Sending -----------------------------------------------------------------------------------------------

/** Seals, signs, keeps and sends one message. */
async function say(type, dataschema, subject, recipients, data, content, causationid) {
  const { organisation, keys } = ourselves();
  const event = {
    specversion: "1.0",
    id: messages.newId(),
    source: organisation,
    type,
    dataschema,
    subject,
    time: new Date().toISOString(),
    recipients: recipients.join(" "),
    hub: await hubId(),
    datacontenttype: "application/json",
    ...(causationid && { causationid }),
    data,
  };
  if (content !== undefined) {
    // To ourselves too: we want to be able to read what we said.
    const openers = messages.openersOf(organisation, keys);
    for (const id of recipients) openers.push(...(await sealedTo(id)));
    event.data = { ...data, ...(await messages.seal(event, content, openers)) };
  }
  const compact = await messages.sign(keys, event, messages.MESSAGE);
  // Kept before it is sent: from here on nothing can make us say the same thing in other bytes.
  keep(`sent/${event.id}.jose`, compact);
  await deliver(event.id);
}

/** Sends the kept bytes of a message and proves the receipt; again and again, if need be. */
async function deliver(id) {
  const compact = fs.readFileSync(at(`sent/${id}.jose`), "utf8");
  const event = JSON.parse(Buffer.from(compact.split(".")[1], "base64url"));
  const first = fs.existsSync(at(`sent/${id}.receipt.json`)) ? load(`sent/${id}.receipt.json`) : undefined;
  let receipt;
  try {
    receipt = await call("POST", "/v1/messages", { body: compact, token: false });
  } catch (error) {
    // What was refused was not stored, and is not to be sent again by `resend`.
    if (error instanceof Refused) fs.renameSync(at(`sent/${id}.jose`), at(`sent/${id}.refused`));
    throw error;
  }
  const entry = verifyReceipt(receipt, compact, hubKeys());
  sameMessage(entry, event);
  check(!first || first.log.entry === receipt.log.entry, "the hub gave another receipt than the first one");
  keep(`sent/${id}.receipt.json`, receipt);
  print({ id, case: event.subject, type: event.type, accepted: entry.at, due: entry.due });
}

/** The log must speak of this very message, or whoever reads it later is told something else than we were. */
function sameMessage(entry, event) {
  for (const name of ["id", "source", "type", "subject"]) {
    check(entry[name] === event[name], `the log entry has another ${name} than the message`);
  }
  check((entry.causationid ?? null) === (event.causationid ?? null), "the log entry has another causationid");
  const [logged, named] = [Object.keys(entry.recipients), event.recipients.split(" ")];
  check(logged.sort().join(" ") === named.sort().join(" "), "the log entry names other recipients than the message");
}

async function open(to, dataFile, sealedFile) {
  const [data, content] = [dataFile, sealedFile].map((file) => JSON.parse(fs.readFileSync(file, "utf8")));
  await say("case-assistance.request", `${CATALOGUE}/request`, messages.newId(), to.split(","), data, content);
}

async function reply(position, message, dataFile, sealedFile) {
  const { event } = load(`inbox/${position}.json`);
  const [data, content] = [dataFile, sealedFile].map((file) => file && JSON.parse(fs.readFileSync(file, "utf8")));
  // Parties come and go: whom to tell, the case says as of now. Its version never changes.
  const found = await call("GET", `/v1/cases/${event.subject}`);
  const parties = new Set([found.opener, found.responder, ...found.participants]);
  const others = [...parties].filter((id) => id !== ourselves().organisation && !id.endsWith("-hub"));
  const schema = event.dataschema.replace(/[^/]*$/, message);
  await say(`${found.protocol}.${message}`, schema, event.subject, others, data, content, event.id);
}

/** Without an id, everything that has no receipt yet. */
async function resend(id) {
  const sent = listed("sent");
  const ids = sent.filter((name) => name.endsWith(".jose")).map((name) => name.slice(0, -".jose".length));
  const unanswered = ids.filter((one) => !sent.includes(`${one}.receipt.json`));
  for (const one of id ? [id] : unanswered) await deliver(one);
}

// Receiving ---------------------------------------------------------------------------------------------

/** Reads on from the cursor; each item is checked and kept before the cursor moves past it. */
async function poll(wait = "0") {
  const { organisation } = ourselves();
  const mailbox = { hub: await hubId(), organisation };
  let { position, ...of } = fs.existsSync(at("cursor.json")) ? load("cursor.json") : { ...mailbox, position: 0 };
  check(of.hub === mailbox.hub && of.organisation === organisation, "the cursor is of another mailbox");
  let faults = 0;
  for (let page; !page || page.behind > 0; wait = "0") {
    page = await call("GET", `/v1/mailbox?after=${position}&limit=100&wait=${wait}`);
    for (const item of page.items) {
      // A hub that was set back numbers on in a new epoch: positions above a multiple of 2^40.
      const next = item.position === position + 1 || (item.position > position && item.position % 2 ** 40 === 1);
      check(next, `the mailbox has a gap after ${position}`);
      // A message may expire before anybody fetches it; its position stays.
      if (!item.expired && !(await receive(item))) faults += 1;
      position = item.position;
      keep("cursor.json", { ...mailbox, position });
    }
    check(page.items.length > 0 || page.behind === 0, "the hub holds messages back");
  }
  check(faults === 0, `${faults} sealed part(s) do not hold: their senders are to be told`);
}

/** Proves one item and opens it; whether its seal held. */
async function receive({ position, message, receipt }) {
  const { organisation, keys } = ourselves();
  const entry = verifyReceipt(receipt, message, hubKeys());
  check(entry.recipients[organisation] === position, "the log has this message at another position");
  check(!entry.gateway, `${entry.gateway} signed for ${entry.source}: this example does not follow delegations`);
  const event = await messages.verifyAuthor(message, await publishedBy(entry.source), entry.at);
  sameMessage(entry, event);
  check(event.hub === (await hubId()), "the message is for another hub");
  const item = { position, event, message, receipt };
  try {
    if (event.data.sealed) item.content = await messages.unseal(event, keys);
  } catch (error) {
    // The hub can't look inside: a bad seal is the sender's doing, signed by it. That is kept, and the mailbox goes on.
    item.fault = error.message;
  }
  keep(`inbox/${position}.json`, item);
  const { sealed, sealed_digest, ...data } = event.data;
  const told = { position, from: event.source, type: event.type, case: event.subject, data };
  print({ ...told, content: item.content, fault: item.fault, due: entry.due });
  return !item.fault;
}

/** Signs for everything read so far. It is the bureau's word that it has it: nobody can say that in its place. */
async function acknowledge() {
  const { organisation, keys } = ourselves();
  const read = listed("inbox").filter((name) => name.endsWith(".json"));
  const through = Math.max(0, ...read.map((name) => parseInt(name, 10)));
  if (through === 0) return;
  const { message } = load(`inbox/${through}.json`);
  const said = { hub: await hubId(), recipient: organisation, through, digest: digest(message) };
  said.time = new Date().toISOString();
  const compact = await messages.sign(keys, said, messages.ACKNOWLEDGEMENT);
  const taken = await call("POST", "/v1/mailbox/acknowledge", { body: compact, token: false });
  // Signed for before: then there is nothing new in the log.
  if (taken.log) {
    const entry = verifyLog(taken.log, hubKeys());
    check(entry.kind === "acknowledged" && entry.jws === compact, "the log holds another acknowledgement than ours");
  }
  print({ acknowledged: through, new: taken.new });
}

// Keys, and proofs from paper ---------------------------------------------------------------------------

async function keys(organisation, zh, en) {
  if (fs.existsSync(at("keys.json"))) throw new Error(`密钥已存在，不覆盖 · ${at("keys.json")} is there already`);
  keep("keys.json", { organisation, name: { zh, en }, keys: await messages.makeKeys() });
}

/** What the hub's operator imports: public keys only. */
function joinRecord() {
  const { organisation, name, keys } = ourselves();
  print([{ id: organisation, name, superior: null, roles: ["bureau"], jwks: messages.published(keys) }]);
}

/** Needs neither the hub nor our keys: whoever has message, receipt and hub.jwks can do it, in ten years too. */
function verify(messageFile, ...receiptFiles) {
  const compact = fs.readFileSync(messageFile, "utf8").trim();
  let broken = 0;
  for (const file of receiptFiles) {
    try {
      const entry = verifyReceipt(parsed(fs.readFileSync(file, "utf8")), compact, hubKeys());
      print({ receipt: file, holds: true, entry });
    } catch (error) {
      if (!(error instanceof Broken)) throw error;
      broken += 1;
      print({ receipt: file, holds: false, why: error.message });
    }
  }
  check(broken === 0, `${broken} receipt(s) do not hold`);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Broken("the receipt is not JSON");
  }
}

// The command line --------------------------------------------------------------------------------------

const COMMANDS = {
  keys: [keys, 3, 3, "ORGANISATION NAME-ZH NAME-EN"],
  "join-record": [joinRecord, 0, 0, ""],
  open: [open, 3, 3, "TO[,TO…] DATA.json SEALED.json"],
  poll: [poll, 0, 1, "[SECONDS-TO-WAIT]"],
  reply: [reply, 3, 4, "POSITION MESSAGE DATA.json [SEALED.json]"],
  acknowledge: [acknowledge, 0, 0, ""],
  resend: [resend, 0, 1, "[ID]"],
  verify: [verify, 2, Infinity, "MESSAGE.jose RECEIPT.json…"],
};

function failed(error) {
  const kinds = [
    [1, Refused, "枢纽拒绝 · refused"],
    [2, Broken, "不成立 · does not hold"],
    [3, Undecided, "未决，请重发 · undecided, resend"],
    [64, Error, "无法执行 · can't be done"],
  ];
  const [status, , words] = kinds.find(([, kind]) => error instanceof kind);
  console.error(`${words}: ${error.message}`);
  if (error instanceof Refused) {
    const { detail, errors = [], allowed_actions: allowed } = error.problem;
    if (detail) console.error(`  ${detail}`);
    for (const { pointer, message } of errors) console.error(`  ${pointer}: ${message}`);
    if (allowed) console.error(`  现在可以 · allowed now: ${JSON.stringify(allowed)}`);
  }
  process.exitCode = status;
}

try {
  const [name, ...given] = process.argv.slice(2);
  const usage = Object.entries(COMMANDS).map(([command, [, , , takes]]) => `  node client.mjs ${command} ${takes}`);
  const [command, least, most] = COMMANDS[name] ?? [];
  if (!command || given.length < least || given.length > most) throw new Error(["用法 · usage:", ...usage].join("\n"));
  await command(...given);
} catch (error) {
  failed(error);
}
