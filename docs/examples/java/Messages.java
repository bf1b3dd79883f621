import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Set;
import java.util.UUID;

/** What a bureau says, and what it makes of what others say: events, tokens, signatures, seals. */
final class Messages {
    private static final int BLOCK = 1024;
    private static final int SALT = 16;
    private static final long TWO_YEARS = 2 * 365 * 86400;

    /** A UUIDv7 (RFC 9562 §5.7): milliseconds first, so that ids sort by time. */
    static String newId() {
        ByteBuffer random = ByteBuffer.wrap(Jose.random(16));
        long high = System.currentTimeMillis() << 16 | 0x7000 | random.getLong() & 0x0fff;
        long low = random.getLong() & 0x3fffffffffffffffL | 0x8000000000000000L;
        return new UUID(high, low).toString();
    }

    /** A pair of private JWKs, one to sign and one to open seals, each valid for two years. */
    static JsonArray makeKeys() throws GeneralSecurityException {
        JsonArray made = new JsonArray();
        made.add(Jose.generate("Ed25519", "sig", "Ed25519"));
        made.add(Jose.generate("X25519", "enc", Jose.AGREEMENT));
        long now = Instant.now().getEpochSecond();
        for (JsonElement key : made) {
            key.getAsJsonObject().addProperty("nbf", now);
            key.getAsJsonObject().addProperty("exp", now + TWO_YEARS);
        }
        return made;
    }

    static JsonObject published(JsonArray keys) {
        JsonArray shown = keys.deepCopy();
        shown.forEach(key -> key.getAsJsonObject().remove("d"));
        return Json.object("keys", shown);
    }

    static List<JsonObject> ofUse(JsonArray keys, String use) {
        List<JsonObject> found = new ArrayList<>();
        for (JsonElement key : keys) {
            if (use.equals(Json.text(key.getAsJsonObject(), "use"))) {
                found.add(key.getAsJsonObject());
            }
        }
        return found;
    }

    private static boolean validAt(JsonObject key, Instant moment) {
        double seconds = moment.toEpochMilli() / 1000.0;
        return (!key.has("nbf") || key.get("nbf").getAsDouble() <= seconds)
                && (!key.has("exp") || seconds < key.get("exp").getAsDouble());
    }

    static String sign(JsonArray keys, JsonObject document, String typ, String cty) throws GeneralSecurityException {
        JsonObject key = ofUse(keys, "sig").get(0);
        JsonObject header = Json.object("alg", "Ed25519", "kid", Json.text(key, "kid"), "typ", typ, "cty", cty);
        return Jose.sign(header, document, key);
    }

    /** The token of a call: signed by oneself, for this hub, for a few minutes. There is no shared secret anywhere. */
    static String bearer(JsonArray keys, String organisation, String hub) throws GeneralSecurityException {
        long now = Instant.now().getEpochSecond();
        JsonObject claims = Json.object("iss", organisation, "sub", organisation, "aud", hub,
                "iat", now, "exp", now + 240, "jti", newId());
        return sign(keys, claims, "JWT", null);
    }

    /** The event in a message, not yet verified. */
    static JsonObject read(String compact) {
        return Json.parse(Jose.unbase64url(compact.split("\\.", -1)[1]));
    }

    /** The event in a message, once one of its author's keys signed it that was valid when the hub accepted it. */
    static JsonObject verifyAuthor(String compact, JsonArray authorKeys, String accepted) {
        try {
            String[] parts = compact.split("\\.", -1);
            Broken.unless(parts.length == 3, "a message has three parts");
            JsonObject header = Json.parse(Jose.unbase64url(parts[0]));
            String kid = Json.text(header, "kid");
            JsonObject key = ofUse(authorKeys, "sig").stream()
                    .filter(one -> Json.text(one, "kid").equals(kid))
                    .findFirst()
                    .orElseThrow(() -> new Broken("signed with a key that is not the sender's: " + kid));
            // EdDSA is the older name of Ed25519.
            String alg = "EdDSA".equals(Json.text(header, "alg")) ? "Ed25519" : Json.text(header, "alg");
            boolean fits = Set.of("Ed25519", "ES256").contains(alg) && alg.equals(Json.text(key, "alg"));
            Broken.unless(fits, "signed with another algorithm than the key's");
            Broken.unless("xieban+jws".equals(Json.text(header, "typ")), "signed as something else than a message");
            boolean known = !header.has("crit") && !header.has("b64");
            Broken.unless(known, "the header demands what we don't know");
            boolean valid = validAt(key, Instant.parse(accepted));
            Broken.unless(valid, "the sender's key was not valid when the message was accepted");
            byte[] signed = (parts[0] + "." + parts[1]).getBytes(StandardCharsets.US_ASCII);
            boolean holds = Jose.verifies(key, signed, Jose.unbase64url(parts[2]));
            Broken.unless(holds, "the sender's signature does not verify");
            return read(compact);
        } catch (IllegalArgumentException | java.time.DateTimeException error) {
            throw new Broken("the sender's signature: " + error.getMessage());
        }
    }

    /** The keys to seal to, of those an organisation publishes. */
    static List<JsonObject> openersOf(String organisation, JsonArray keys) {
        List<JsonObject> valid = ofUse(keys, "enc").stream().filter(key -> validAt(key, Instant.now())).toList();
        Broken.unless(!valid.isEmpty(), organisation + " has no valid key to seal to");
        return valid;
    }

    /** Adds {@code sealed} and {@code sealed_digest} to the event's data: content that only the openers can read. */
    static void seal(JsonObject event, JsonObject content, List<JsonObject> openers) throws GeneralSecurityException {
        // What message it belongs to is sealed in, so that it opens in no other one; the salt keeps the public digest
        // from being guessed, the padding (spaces are still JSON) keeps the length from telling.
        byte[] text = Json.bytes(Json.object(
                "source", Json.text(event, "source"),
                "id", Json.text(event, "id"),
                "subject", Json.text(event, "subject"),
                "salt", Jose.base64url(Jose.random(SALT)),
                "content", content));
        byte[] plaintext = Arrays.copyOf(text, (text.length + BLOCK - 1) / BLOCK * BLOCK);
        Arrays.fill(plaintext, text.length, plaintext.length, (byte) ' ');
        JsonObject data = event.getAsJsonObject("data");
        data.add("sealed", Jose.encrypt(plaintext, openers));
        data.addProperty("sealed_digest", Receipt.digest(plaintext));
    }

    /** The sealed content of a message, once it opens with our key and is what its author said it is. */
    static JsonObject unseal(JsonObject event, JsonArray keys) {
        JsonObject data = event.getAsJsonObject("data");
        byte[] plaintext = Jose.decrypt(data.getAsJsonObject("sealed"), ofUse(keys, "enc").get(0));
        boolean named = Receipt.digest(plaintext).equals(Json.text(data, "sealed_digest"));
        Broken.unless(named, "the sealed part is not the one that sealed_digest names");
        Broken.unless(plaintext.length % BLOCK == 0, "the sealed part is not padded");
        JsonObject document = Json.parse(plaintext);
        Broken.unless(saltIn(document), "the sealed part is not salted");
        for (String name : List.of("source", "id", "subject")) {
            boolean same = Json.text(event, name).equals(Json.text(document, name));
            Broken.unless(same, "the sealed part was made for a message with another " + name);
        }
        return document.getAsJsonObject("content");
    }

    private static boolean saltIn(JsonObject document) {
        String salt = Json.text(document, "salt");
        return salt != null && Base64.getUrlDecoder().decode(salt).length == SALT;
    }
}
