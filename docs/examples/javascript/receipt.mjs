// What the hub proves by a receipt, checked offline with its public keys. Nothing but node:crypto stands between the
// proof and the bytes, so this file can be read beside RFC 6962, C2SP signed-note and C2SP tlog-checkpoint.

import { createHash, createPublicKey, verify as signatureHolds } from "node:crypto";

/** What was received is not what it says it is. */
export class Broken extends Error {}

export function check(holds, why) {
  if (!holds) throw new Broken(why);
}

export const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();

/** A digest as the wire writes it. */
export const digest = (bytes) => "sha-256:" + sha256(bytes).toString("hex");

/** Standard base64 in its one canonical form: otherwise a proof could be altered and still hold. */
function base64(text) {
  const bytes = Buffer.from(String(text), "base64");
  check(bytes.toString("base64") === text, "not base64 in its canonical form");
  return bytes;
}

/** The log entry of a receipt, once it proves that the hub took the message with exactly these bytes. */
export function verifyReceipt(receipt, compact, hubKeys) {
  const entry = verifyLog(receipt?.log, hubKeys);
  check(entry.kind === "accepted", "the log entry is not one of a message that was accepted");
  // The outer fields are there for reading; only the entry is proven, so they must say the same.
  const outer = [receipt.message, receipt.digest, receipt.accepted];
  const proven = [entry.id, entry.digest, entry.at];
  check(proven.every((value, i) => value === outer[i]), "the receipt's fields differ from its log entry's");
  check(entry.digest === digest(compact), "the receipt is for other bytes than this message");
  return entry;
}

/** The entry that a `log` member holds, once it is proven to be in the log that the hub signed. */
export function verifyLog(log, hubKeys) {
  try {
    const { size, root } = checkpoint(log.checkpoint, log.origin, hubKeys);
    const leaf = base64(log.entry);
    const computed = rootOf(sha256("\x00", leaf), log.index, size, log.proof.map(base64));
    check(computed.equals(root), "the inclusion proof leads to another root than the checkpoint's");
    return JSON.parse(leaf.toString("utf8"));
  } catch (error) {
    // Altered bytes break things in many ways; for the reader they are all one.
    throw error instanceof Broken ? error : new Broken(`not a proof: ${error.message}`);
  }
}

/** Size and root of the log, once one of the hub's keys signed them: three lines, an empty one, then signatures. */
function checkpoint(note, origin, hubKeys) {
  const end = note.lastIndexOf("\n\n") + 1;
  const [signed, lines] = [note.slice(0, end), note.slice(end + 1)];
  check(end > 0 && lines.endsWith("\n"), "the checkpoint is not a signed note");
  const [name, size, root] = signed.split("\n");
  check(name === origin, "the checkpoint is of another log");
  check(/^(0|[1-9][0-9]{0,15})$/.test(size), "the checkpoint's size is not a number");
  let known = 0;
  for (const line of lines.slice(0, -1).split("\n")) {
    const [dash, signer, encoded, ...more] = line.split(" ");
    check(dash === "\u2014" && encoded && more.length === 0, "not a signature line");
    const signature = base64(encoded);
    for (const jwk of hubKeys.keys.filter((key) => key.crv === "Ed25519")) {
      // A line names its key by four bytes: SHA-256(name ‖ newline ‖ 0x01 ‖ public key). Others' lines, of witnesses
      // and of keys that the hub no longer has, are passed over.
      const id = sha256(name, "\n\x01", Buffer.from(jwk.x, "base64url")).subarray(0, 4);
      if (signer !== name || !signature.subarray(0, 4).equals(id)) continue;
      const key = createPublicKey({ key: jwk, format: "jwk" });
      const holds = signatureHolds(null, Buffer.from(signed), key, signature.subarray(4));
      check(holds, "the checkpoint's signature does not verify");
      known += 1;
    }
  }
  check(known > 0, "none of the hub's keys signed the checkpoint");
  return { size: Number(size), root: base64(root) };
}

/** The root that an inclusion proof leads to (RFC 6962 §2.1.1, by the steps of RFC 9162 §2.1.3.2). */
function rootOf(leafHash, index, size, proof) {
  check(Number.isSafeInteger(index) && 0 <= index && index < size, "the entry lies outside the log");
  let [position, last, hash] = [index, size - 1, leafHash];
  const up = () => ([position, last] = [Math.floor(position / 2), Math.floor(last / 2)]);
  for (const sibling of proof) {
    check(last > 0 && sibling.length === 32, "the inclusion proof has one hash too many, or one that is none");
    if (position % 2 === 1 || position === last) {
      hash = sha256("\x01", sibling, hash);
      // A last node without a right neighbour moves up alone.
      while (position % 2 === 0 && position > 0) up();
    } else {
      hash = sha256("\x01", hash, sibling);
    }
    up();
  }
  check(last === 0, "the inclusion proof is too short");
  return hash;
}
