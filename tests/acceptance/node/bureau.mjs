// A bureau that knows the wire contract, npm `jose` and node: one command a call, JSON in at standard input, JSON out.
// Receipts it verifies with node:crypto alone, so that no library stands between the proof and the bytes.

import { createHash, createPublicKey, randomBytes, verify as verifySignature } from "node:crypto";
import { text } from "node:stream/consumers";
import {
  CompactSign,
  GeneralEncrypt,
  SignJWT,
  calculateJwkThumbprint,
  compactVerify,
  exportJWK,
  generalDecrypt,
  generateKeyPair,
  importJWK,
} from "jose";

const BASE = "https://xieban.example/v1/protocols/case-assistance/1.0";
const WRAPPING = "ECDH-ES+A256KW";
const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();
const digest = (bytes) => "sha-256:" + sha256(bytes).toString("hex");

/** A UUIDv7 (RFC 9562 §5.7). */
function uuid7() {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

async function keyPair(alg, options, use) {
  const { privateKey } = await generateKeyPair(alg, { ...options, extractable: true });
  const jwk = { ...(await exportJWK(privateKey)), use, alg };
  return { ...jwk, kid: await calculateJwkThumbprint(jwk) };
}

const published = ({ d, ...jwk }) => jwk;

/** New keys, and the bureau's line in the file of organisations. */
async function make({ id, alg, crv }) {
  const signing = await keyPair(alg, {}, "sig");
  const sealing = await keyPair(WRAPPING, { crv }, "enc");
  const jwks = { keys: [published(signing), published(sealing)] };
  const record = { id, name: { zh: id, en: id }, superior: null, roles: ["bureau"], jwks };
  return { bureau: { id, signing, sealing }, record };
}

async function sign({ signing }, payload, header) {
  const bytes = new TextEncoder().encode(JSON.stringify(payload));
  const key = await importJWK(signing, signing.alg);
  return new CompactSign(bytes).setProtectedHeader({ alg: signing.alg, kid: signing.kid, ...header }).sign(key);
}

async function bearer({ id, signing }, audience) {
  return new SignJWT()
    .setProtectedHeader({ alg: signing.alg, kid: signing.kid })
    .setIssuer(id)
    .setSubject(id)
    .setAudience(audience)
    .setIssuedAt()
    .setExpirationTime("4m")
    .setJti(uuid7())
    .sign(await importJWK(signing, signing.alg));
}

async function call({ bureau, url, audience }, method, path, body) {
  const headers = { Authorization: `Bearer ${await bearer(bureau, audience)}`, "Content-Type": "application/jose" };
  const response = await fetch(url + path, { method, headers, body });
  return { status: response.status, body: await response.json() };
}

const sealingKeys = (jwks) => jwks.keys.filter((key) => key.use === "enc");

async function seal(event, content, keys) {
  const said = { source: event.source, id: event.id, subject: event.subject };
  const document = JSON.stringify({ ...said, salt: randomBytes(16).toString("base64url"), content });
  const bytes = Buffer.from(document);
  const padded = Buffer.concat([bytes, Buffer.alloc((1024 - (bytes.length % 1024)) % 1024, " ")]);
  const sealed = new GeneralEncrypt(padded).setProtectedHeader({ enc: "A256GCM" });
  for (const jwk of keys) {
    sealed.addRecipient(await importJWK(jwk, WRAPPING)).setUnprotectedHeader({ alg: WRAPPING, kid: jwk.kid });
  }
  return { sealed: await sealed.encrypt(), sealed_digest: digest(padded) };
}

/** Sends one message, sealed to the recipient and to oneself. */
async function send({ message, subject, to, data, content, ...options }) {
  const { bureau, audience } = options;
  const event = {
    specversion: "1.0",
    id: uuid7(),
    source: bureau.id,
    type: `case-assistance.${message}`,
    dataschema: `${BASE}/${message}`,
    subject: subject ?? uuid7(),
    time: new Date().toISOString(),
    recipients: to.id,
    hub: audience,
    datacontenttype: "application/json",
  };
  const keys = [...sealingKeys(to.jwks), published(bureau.sealing)];
  event.data = { ...data, ...(await seal(event, content, keys)) };
  const token = await sign(bureau, event, { typ: "xieban+jws", cty: "application/cloudevents+json" });
  return { ...(await call(options, "POST", "/v1/messages", token)), event, token };
}

const poll = ({ after, ...options }) => call(options, "GET", `/v1/mailbox?after=${after}&limit=100`);

/** Checks whose message it is, opens its sealed part and checks what that says of itself. */
async function open({ bureau, message, jwks }) {
  const find = async ({ kid, alg }) => importJWK(jwks.keys.find((key) => key.kid === kid), alg);
  const { payload, protectedHeader } = await compactVerify(message, find);
  const event = JSON.parse(Buffer.from(payload).toString());
  const { sealed, sealed_digest: expected } = event.data;
  const { plaintext } = await generalDecrypt(sealed, await importJWK(bureau.sealing, WRAPPING));
  const document = JSON.parse(Buffer.from(plaintext).toString());
  const fits = ["source", "id", "subject"].every((name) => document[name] === event[name]);
  return { event, typ: protectedHeader.typ, content: document.content, fits: fits && digest(plaintext) === expected };
}

async function acknowledge({ item, ...options }) {
  const said = {
    hub: options.audience,
    recipient: options.bureau.id,
    through: item.position,
    digest: digest(item.message),
    time: new Date().toISOString(),
  };
  const token = await sign(options.bureau, said, { typ: "xieban-ack+jws" });
  return call(options, "POST", "/v1/mailbox/acknowledge", token);
}

/** The checkpoint in a signed note (C2SP signed-note, tlog-checkpoint), once one of the hub's keys has signed it. */
function checkpoint(note, jwks) {
  const end = note.lastIndexOf("\n\n") + 1;
  const [origin, size, root] = note.slice(0, end).split("\n");
  const signedBy = (jwk) => {
    const key = createPublicKey({ key: jwk, format: "jwk" });
    const id = sha256(origin, "\n\x01", Buffer.from(jwk.x, "base64url")).subarray(0, 4);
    return note.slice(end + 1).split("\n").some((line) => {
      const [dash, name, encoded] = line.split(" ");
      const signature = Buffer.from(encoded ?? "", "base64");
      if (dash !== "\u2014" || name !== origin || !signature.subarray(0, 4).equals(id)) return false;
      return verifySignature(null, Buffer.from(note.slice(0, end)), key, signature.subarray(4));
    });
  };
  if (!jwks.keys.some((jwk) => jwk.crv === "Ed25519" && signedBy(jwk))) throw new Error("checkpoint");
  return { origin, size: Number(size), root: Buffer.from(root, "base64") };
}

/** The root that an inclusion proof leads to (RFC 9162 §2.1.3.2). */
function rootOf(leaf, index, size, proof) {
  if (index < 0 || index >= size) throw new Error("index");
  let [position, last, hash] = [index, size - 1, leaf];
  const up = () => ([position, last] = [Math.floor(position / 2), Math.floor(last / 2)]);
  for (const item of proof) {
    if (last === 0) throw new Error("proof");
    if (position % 2 === 1 || position === last) {
      hash = sha256("\x01", item, hash);
      while (position % 2 === 0 && position !== 0) up();
    } else {
      hash = sha256("\x01", hash, item);
    }
    up();
  }
  if (last !== 0) throw new Error("proof");
  return hash;
}

/** Whether a receipt proves that the hub took this very message; if not, what does not hold. */
async function verify({ receipt, message, jwks }) {
  try {
    const { log } = receipt;
    const { origin, size, root } = checkpoint(log.checkpoint, jwks);
    const leaf = Buffer.from(log.entry, "base64");
    const proof = log.proof.map((item) => Buffer.from(item, "base64"));
    if (origin !== log.origin) throw new Error("origin");
    if (!rootOf(sha256("\x00", leaf), log.index, size, proof).equals(root)) throw new Error("root");
    const entry = JSON.parse(leaf.toString());
    const told = [entry.kind, entry.id, entry.digest, entry.at];
    const expected = ["accepted", receipt.message, receipt.digest, receipt.accepted];
    if (told.some((value, place) => value !== expected[place])) throw new Error("entry");
    if (digest(message) !== entry.digest) throw new Error("message");
    return { holds: true, entry };
  } catch (error) {
    return { holds: false, why: error.message };
  }
}

const commands = { make, send, poll, open, acknowledge, verify };
const options = JSON.parse(await text(process.stdin));
console.log(JSON.stringify(await commands[process.argv[2]](options)));
