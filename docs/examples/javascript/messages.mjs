// Keys, signatures and seals, all by npm `jose`: what a bureau says, and what it makes of what others say.

import { randomBytes } from "node:crypto";
import * as jose from "jose";
import { Broken, check, digest } from "./receipt.mjs";

const AGREEMENT = "ECDH-ES+A256KW";
const SIGNATURES = ["Ed25519", "EdDSA", "ES256"];
const BLOCK = 1024;

/** A UUIDv7 (RFC 9562 §5.7): milliseconds first, so that ids sort by time. */
export function newId() {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** A pair of private JWKs, one to sign and one to open seals, each valid for two years. */
export async function makeKeys() {
  const now = Math.floor(Date.now() / 1000);
  const make = async (alg, use, options) => {
    const { privateKey } = await jose.generateKeyPair(alg, { extractable: true, ...options });
    const jwk = await jose.exportJWK(privateKey);
    // The kid is the RFC 7638 thumbprint: nobody can give two keys one name.
    return { ...jwk, kid: await jose.calculateJwkThumbprint(jwk), use, alg, nbf: now, exp: now + 2 * 365 * 86400 };
  };
  return [await make("Ed25519", "sig"), await make(AGREEMENT, "enc", { crv: "X25519" })];
}

export const published = (keys) => ({ keys: keys.map(({ d, ...jwk }) => jwk) });

const ofUse = (keys, use) => keys.filter((key) => key.use === use);
const validAt = (key, seconds) => (key.nbf ?? 0) <= seconds && seconds < (key.exp ?? Infinity);

/** A compact JWS over a JSON document. */
export async function sign(keys, document, header) {
  const [key] = ofUse(keys, "sig");
  const payload = new TextEncoder().encode(JSON.stringify(document));
  const protectedHeader = { alg: key.alg, kid: key.kid, ...header };
  return new jose.CompactSign(payload).setProtectedHeader(protectedHeader).sign(await jose.importJWK(key, key.alg));
}

export const MESSAGE = { typ: "xieban+jws", cty: "application/cloudevents+json" };
export const ACKNOWLEDGEMENT = { typ: "xieban-ack+jws" };

/** The token of a call: signed by oneself, for this hub, for a few minutes. There is no shared secret anywhere. */
export async function bearer(keys, organisation, hub) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: organisation, sub: organisation, aud: hub, iat: now, exp: now + 240, jti: newId() };
  return sign(keys, claims, { typ: "JWT" });
}

/** The event in a message, once one of its author's keys signed it that was valid when the hub accepted it. */
export async function verifyAuthor(compact, authorKeys, accepted) {
  const find = async ({ kid, alg }) => {
    const key = ofUse(authorKeys, "sig").find((one) => one.kid === kid);
    check(key, `signed with a key that is not the sender's: ${kid}`);
    // The algorithm is the key's, never the header's choice; EdDSA is the older name of Ed25519.
    check(key.alg === (alg === "EdDSA" ? "Ed25519" : alg), "signed with another algorithm than the key's");
    check(validAt(key, Date.parse(accepted) / 1000), "the sender's key was not valid when the message was accepted");
    return jose.importJWK(key, alg);
  };
  try {
    const { payload, protectedHeader } = await jose.compactVerify(compact, find, { algorithms: SIGNATURES });
    check(protectedHeader.typ === MESSAGE.typ, "signed as something else than a message");
    return JSON.parse(new TextDecoder().decode(payload));
  } catch (error) {
    throw error instanceof Broken ? error : new Broken(`the sender's signature: ${error.message}`);
  }
}

/** The members `sealed` and `sealed_digest`: content that only the holders of `openers` can read. */
export async function seal(event, content, openers) {
  // What message it belongs to is sealed in, so that it opens in no other one; the salt keeps the public digest from
  // being guessed, the padding (spaces are still JSON) keeps the length from telling.
  const { source, id, subject } = event;
  const document = { source, id, subject, salt: randomBytes(16).toString("base64url"), content };
  const text = Buffer.from(JSON.stringify(document));
  const plaintext = Buffer.concat([text, Buffer.alloc(-text.length & (BLOCK - 1), " ")]);
  const encryption = new jose.GeneralEncrypt(plaintext).setProtectedHeader({ enc: "A256GCM" });
  for (const jwk of openers) {
    const recipient = encryption.addRecipient(await jose.importJWK(jwk, AGREEMENT));
    recipient.setUnprotectedHeader({ alg: AGREEMENT, kid: jwk.kid });
  }
  return { sealed: await encryption.encrypt(), sealed_digest: digest(plaintext) };
}

/** The keys to seal to, of those an organisation publishes. */
export function openersOf(organisation, keys) {
  const valid = ofUse(keys, "enc").filter((key) => validAt(key, Date.now() / 1000));
  check(valid.length > 0, `${organisation} has no valid key to seal to`);
  return valid;
}

/** The sealed content of a message, once it opens with one of `keys` and is what its author said it is. */
export async function unseal(event, keys) {
  const { sealed, sealed_digest: expected } = event.data;
  const kids = (sealed.recipients ?? []).map((one) => one.header?.kid);
  const key = ofUse(keys, "enc").find((one) => kids.includes(one.kid));
  check(key, "not sealed to any of our keys");
  let plaintext;
  try {
    const allowed = { keyManagementAlgorithms: [AGREEMENT], contentEncryptionAlgorithms: ["A256GCM"] };
    ({ plaintext } = await jose.generalDecrypt(sealed, await jose.importJWK(key, AGREEMENT), allowed));
  } catch (error) {
    throw new Broken(`the seal does not open: ${error.message}`);
  }
  check(digest(plaintext) === expected, "the sealed part is not the one that sealed_digest names");
  check(plaintext.length % BLOCK === 0, "the sealed part is not padded");
  const document = JSON.parse(new TextDecoder().decode(plaintext));
  for (const name of ["source", "id", "subject"]) {
    check(document[name] === event[name], `the sealed part was made for a message with another ${name}`);
  }
  return document.content;
}
