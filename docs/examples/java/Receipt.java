import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.function.Supplier;

/** What the hub proves by a receipt, checked offline with its keys: RFC 6962, C2SP signed-note, tlog-checkpoint. */
final class Receipt {
    /** The log entry of a receipt, once it proves that the hub took the message with exactly these bytes. */
    static JsonObject verify(JsonObject receipt, String compact, JsonArray hubKeys) {
        return proven(() -> {
            JsonObject entry = verifyLog(receipt.getAsJsonObject("log"), hubKeys);
            Broken.unless("accepted".equals(Json.text(entry, "kind")), "the log entry is not of kind accepted");
            // The outer fields are there for reading; only the entry is proven, so they must say the same.
            for (String[] names : new String[][] {{"message", "id"}, {"digest", "digest"}, {"accepted", "at"}}) {
                boolean same = Json.text(entry, names[1]).equals(Json.text(receipt, names[0]));
                Broken.unless(same, "the receipt's fields differ from its log entry's");
            }
            boolean ours = Json.text(entry, "digest").equals(digest(compact.getBytes(StandardCharsets.UTF_8)));
            Broken.unless(ours, "the receipt is for other bytes than this message");
            return entry;
        });
    }

    /** The entry that a {@code log} member holds, once it is proven to be in the log that the hub signed. */
    static JsonObject verifyLog(JsonObject log, JsonArray hubKeys) {
        return proven(() -> inLog(log, hubKeys));
    }

    private static JsonObject proven(Supplier<JsonObject> proof) {
        try {
            return proof.get();
        } catch (Broken broken) {
            throw broken;
        } catch (RuntimeException error) {
            // Altered bytes break things in many ways; for the reader they are all one.
            throw new Broken("not a proof: " + error);
        }
    }

    private static JsonObject inLog(JsonObject log, JsonArray hubKeys) {
        Checkpoint checkpoint = checkpoint(Json.text(log, "checkpoint"), Json.text(log, "origin"), hubKeys);
        byte[] leaf = base64(Json.text(log, "entry"));
        List<byte[]> proof = new ArrayList<>();
        for (JsonElement hash : log.getAsJsonArray("proof")) {
            proof.add(base64(hash.getAsString()));
        }
        String index = log.get("index").getAsJsonPrimitive().getAsString();
        Broken.unless(index.matches("0|[1-9][0-9]{0,17}"), "the entry's index is not a number");
        byte[] root = rootOf(Jose.sha256(new byte[] {0}, leaf), Long.parseLong(index), checkpoint.size, proof);
        boolean leads = Arrays.equals(root, checkpoint.root);
        Broken.unless(leads, "the inclusion proof leads to another root than the checkpoint's");
        return Json.parse(leaf);
    }

    /** A digest as the wire writes it. */
    static String digest(byte[] bytes) {
        return "sha-256:" + HexFormat.of().formatHex(Jose.sha256(bytes));
    }

    private record Checkpoint(long size, byte[] root) {}

    /** The head of the log, once one of the hub's keys signed it: three lines, an empty one, then signatures. */
    private static Checkpoint checkpoint(String note, String origin, JsonArray hubKeys) {
        int end = note.lastIndexOf("\n\n") + 1;
        Broken.unless(end > 0 && note.endsWith("\n"), "the checkpoint is not a signed note");
        String signed = note.substring(0, end);
        String[] said = signed.split("\n");
        Broken.unless(said.length >= 3 && said[0].equals(origin), "the checkpoint is of another log");
        Broken.unless(said[1].matches("0|[1-9][0-9]{0,17}"), "the checkpoint's size is not a number");
        int known = 0;
        for (String line : note.substring(end + 1, note.length() - 1).split("\n", -1)) {
            String[] parts = line.split(" ", -1);
            Broken.unless(parts.length == 3 && parts[0].equals("\u2014"), "not a signature line");
            byte[] signature = base64(parts[2]);
            for (JsonElement member : hubKeys) {
                JsonObject jwk = member.getAsJsonObject();
                // Others' lines, of witnesses and of keys that the hub no longer has, are passed over.
                boolean ours = "Ed25519".equals(Json.text(jwk, "crv")) && parts[1].equals(origin);
                if (!ours || !names(signature, origin, jwk)) {
                    continue;
                }
                byte[] bare = Arrays.copyOfRange(signature, 4, signature.length);
                boolean holds = Jose.verifies(jwk, signed.getBytes(StandardCharsets.UTF_8), bare);
                Broken.unless(holds, "the checkpoint's signature does not verify");
                known++;
            }
        }
        Broken.unless(known > 0, "none of the hub's keys signed the checkpoint");
        return new Checkpoint(Long.parseLong(said[1]), base64(said[2]));
    }

    /** Whether a signature names this key: by the first four bytes of SHA-256(name, newline, 0x01, public key). */
    private static boolean names(byte[] signature, String origin, JsonObject jwk) {
        byte[] name = (origin + "\n\u0001").getBytes(StandardCharsets.UTF_8);
        byte[] id = Jose.sha256(name, Jose.unbase64url(Json.text(jwk, "x")));
        return signature.length > 4 && Arrays.equals(signature, 0, 4, id, 0, 4);
    }

    /** The root that an inclusion proof leads to (RFC 6962 §2.1.1, by the steps of RFC 9162 §2.1.3.2). */
    private static byte[] rootOf(byte[] leafHash, long index, long size, List<byte[]> proof) {
        Broken.unless(index < size, "the entry lies outside the log");
        long position = index;
        long last = size - 1;
        byte[] hash = leafHash;
        for (byte[] sibling : proof) {
            Broken.unless(last > 0 && sibling.length == 32, "the inclusion proof is too long, or not of hashes");
            if (position % 2 == 1 || position == last) {
                hash = Jose.sha256(new byte[] {1}, sibling, hash);
                // A last node without a right neighbour moves up alone.
                while (position % 2 == 0 && position > 0) {
                    position /= 2;
                    last /= 2;
                }
            } else {
                hash = Jose.sha256(new byte[] {1}, hash, sibling);
            }
            position /= 2;
            last /= 2;
        }
        Broken.unless(last == 0, "the inclusion proof is too short");
        return hash;
    }

    /** Standard base64 in its one canonical form: otherwise a proof could be altered and still hold. */
    private static byte[] base64(String text) {
        byte[] bytes = Base64.getDecoder().decode(text);
        Broken.unless(Base64.getEncoder().encodeToString(bytes).equals(text), "not base64 in its canonical form");
        return bytes;
    }
}
