import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.Key;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.Signature;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import javax.crypto.Cipher;
import javax.crypto.KeyAgreement;
import javax.crypto.SecretKey;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/**
 * As much of JOSE as the wire needs, on the JDK's own cryptography: JWK (RFC 7517, 7638, 8037), compact JWS (RFC 7515)
 * and JWE for several recipients (RFC 7516), ECDH-ES+A256KW with A256GCM (RFC 7518 §4.6, §5.3).
 */
final class Jose {
    static final String AGREEMENT = "ECDH-ES+A256KW";
    private static final SecureRandom RANDOM = new SecureRandom();

    // The JDK takes keys in DER only; before the bare bytes of a JWK stands always the same (RFC 8410, RFC 5480).
    private static final Map<String, String> PUBLIC_DER = Map.of(
            "Ed25519", "302a300506032b6570032100",
            "X25519", "302a300506032b656e032100",
            "P-256", "3059301306072a8648ce3d020106082a8648ce3d03010703420004");
    private static final Map<String, String> PRIVATE_DER = Map.of(
            "Ed25519", "302e020100300506032b657004220420", "X25519", "302e020100300506032b656e04220420");

    // Keys ---------------------------------------------------------------------------------------------

    /** A new private JWK; its kid is the thumbprint, so that nobody can give two keys one name. */
    static JsonObject generate(String crv, String use, String alg) throws GeneralSecurityException {
        KeyPair pair = KeyPairGenerator.getInstance(crv).generateKeyPair();
        JsonObject jwk = publicJwk(crv, pair.getPublic());
        byte[] der = pair.getPrivate().getEncoded();
        jwk.addProperty("d", base64url(Arrays.copyOfRange(der, der.length - 32, der.length)));
        jwk.addProperty("kid", thumbprint(jwk));
        jwk.addProperty("use", use);
        jwk.addProperty("alg", alg);
        return jwk;
    }

    private static JsonObject publicJwk(String crv, PublicKey key) {
        byte[] der = key.getEncoded();
        byte[] bare = Arrays.copyOfRange(der, PUBLIC_DER.get(crv).length() / 2, der.length);
        String x = base64url(Arrays.copyOf(bare, 32));
        boolean edwards = bare.length == 32;
        String y = edwards ? null : base64url(Arrays.copyOfRange(bare, 32, 64));
        return Json.object("kty", edwards ? "OKP" : "EC", "crv", crv, "x", x, "y", y);
    }

    /** RFC 7638: the required members, sorted, without spaces. */
    private static String thumbprint(JsonObject jwk) {
        JsonObject members = new JsonObject();
        for (String name : List.of("crv", "kty", "x", "y")) {
            if (jwk.has(name)) {
                members.add(name, jwk.get(name));
            }
        }
        return base64url(sha256(Json.bytes(members)));
    }

    private static PublicKey publicKey(JsonObject jwk) throws GeneralSecurityException {
        String crv = Json.text(jwk, "crv");
        byte[] bare = concat(octets(jwk, "x"), octets(jwk, "y"));
        boolean known = PUBLIC_DER.containsKey(crv) && bare.length == (crv.equals("P-256") ? 64 : 32);
        Broken.unless(known, "not a key that we know: " + crv);
        byte[] der = concat(HexFormat.of().parseHex(PUBLIC_DER.get(crv)), bare);
        return KeyFactory.getInstance(crv.equals("P-256") ? "EC" : crv).generatePublic(new X509EncodedKeySpec(der));
    }

    private static PrivateKey privateKey(JsonObject jwk) throws GeneralSecurityException {
        String crv = Json.text(jwk, "crv");
        byte[] der = concat(HexFormat.of().parseHex(PRIVATE_DER.get(crv)), unbase64url(Json.text(jwk, "d")));
        return KeyFactory.getInstance(crv).generatePrivate(new PKCS8EncodedKeySpec(der));
    }

    // Signatures ---------------------------------------------------------------------------------------

    /** A compact JWS, signed with one of our own keys (Ed25519). */
    static String sign(JsonObject header, JsonObject document, JsonObject key) throws GeneralSecurityException {
        String input = base64url(Json.bytes(header)) + "." + base64url(Json.bytes(document));
        Signature signer = Signature.getInstance("Ed25519");
        signer.initSign(privateKey(key));
        signer.update(input.getBytes(StandardCharsets.US_ASCII));
        return input + "." + base64url(signer.sign());
    }

    /** Whether a key signed these bytes: Ed25519, or ES256 on P-256. The key decides which, never the message. */
    static boolean verifies(JsonObject jwk, byte[] signed, byte[] signature) {
        try {
            boolean ecdsa = "P-256".equals(Json.text(jwk, "crv"));
            Signature verifier = Signature.getInstance(ecdsa ? "SHA256withECDSAinP1363Format" : "Ed25519");
            verifier.initVerify(publicKey(jwk));
            verifier.update(signed);
            return verifier.verify(signature);
        } catch (GeneralSecurityException error) {
            return false;
        }
    }

    // Seals --------------------------------------------------------------------------------------------

    /** A JWE that the holder of each of these public keys can open. */
    static JsonObject encrypt(byte[] plaintext, List<JsonObject> openers) throws GeneralSecurityException {
        byte[] contentKey = random(32);
        byte[] iv = random(12);
        String header = base64url(Json.bytes(Json.object("enc", "A256GCM")));
        byte[] sealed = gcm(Cipher.ENCRYPT_MODE, contentKey, iv, header).doFinal(plaintext);
        List<JsonObject> recipients = openers.stream().map(opener -> share(contentKey, opener)).toList();
        return Json.object(
                "protected", header,
                "recipients", recipients,
                "iv", base64url(iv),
                "ciphertext", base64url(Arrays.copyOf(sealed, plaintext.length)),
                "tag", base64url(Arrays.copyOfRange(sealed, plaintext.length, sealed.length)));
    }

    /** One recipient's share: the content key, wrapped with a key agreed on through a fresh ephemeral one. */
    private static JsonObject share(byte[] contentKey, JsonObject opener) {
        try {
            String crv = Json.text(opener, "crv");
            KeyPairGenerator generator = KeyPairGenerator.getInstance(crv.equals("P-256") ? "EC" : crv);
            if (crv.equals("P-256")) {
                generator.initialize(new ECGenParameterSpec("secp256r1"));
            }
            KeyPair ephemeral = generator.generateKeyPair();
            SecretKey agreed = agreed(ephemeral.getPrivate(), publicKey(opener), new byte[0], new byte[0]);
            Cipher wrap = Cipher.getInstance("AESWrap");
            wrap.init(Cipher.WRAP_MODE, agreed);
            String wrapped = base64url(wrap.wrap(new SecretKeySpec(contentKey, "AES")));
            JsonObject epk = publicJwk(crv, ephemeral.getPublic());
            JsonObject header = Json.object("alg", AGREEMENT, "kid", Json.text(opener, "kid"), "epk", epk);
            return Json.object("header", header, "encrypted_key", wrapped);
        } catch (GeneralSecurityException error) {
            throw new Broken("can't seal to " + Json.text(opener, "kid") + ": " + error.getMessage());
        }
    }

    /** The plaintext of a JWE that is sealed to our key. */
    static byte[] decrypt(JsonObject jwe, JsonObject key) {
        try {
            String kid = Json.text(key, "kid");
            String encoded = Json.text(jwe, "protected");
            for (JsonElement one : jwe.getAsJsonArray("recipients")) {
                // A header member may stand in the protected header or beside the recipient's share.
                JsonObject header = Json.parse(unbase64url(encoded));
                JsonObject beside = one.getAsJsonObject().getAsJsonObject("header");
                beside.keySet().forEach(name -> header.add(name, beside.get(name)));
                if (!kid.equals(Json.text(header, "kid"))) {
                    continue;
                }
                String ways = Json.text(header, "alg") + " " + Json.text(header, "enc");
                boolean known = ways.equals(AGREEMENT + " A256GCM") && !header.has("zip");
                Broken.unless(known, "sealed in another way than the wire's");
                PublicKey ephemeral = publicKey(header.getAsJsonObject("epk"));
                SecretKey agreed = agreed(privateKey(key), ephemeral, octets(header, "apu"), octets(header, "apv"));
                Cipher unwrap = Cipher.getInstance("AESWrap");
                unwrap.init(Cipher.UNWRAP_MODE, agreed);
                byte[] wrapped = octets(one.getAsJsonObject(), "encrypted_key");
                Key contentKey = unwrap.unwrap(wrapped, "AES", Cipher.SECRET_KEY);
                String authenticated = jwe.has("aad") ? encoded + "." + Json.text(jwe, "aad") : encoded;
                Cipher cipher = gcm(Cipher.DECRYPT_MODE, contentKey.getEncoded(), octets(jwe, "iv"), authenticated);
                return cipher.doFinal(concat(octets(jwe, "ciphertext"), octets(jwe, "tag")));
            }
        } catch (Broken broken) {
            throw broken;
        } catch (GeneralSecurityException | RuntimeException error) {
            throw new Broken("the seal does not open: " + error);
        }
        throw new Broken("not sealed to our key");
    }

    private static Cipher gcm(int mode, byte[] key, byte[] iv, String authenticated) throws GeneralSecurityException {
        Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
        cipher.init(mode, new SecretKeySpec(key, "AES"), new GCMParameterSpec(128, iv));
        cipher.updateAAD(authenticated.getBytes(StandardCharsets.US_ASCII));
        return cipher;
    }

    /** The wrapping key (RFC 7518 §4.6.2): one round of the Concat KDF gives all the 256 bits that are needed. */
    private static SecretKey agreed(PrivateKey ours, PublicKey theirs, byte[] apu, byte[] apv)
            throws GeneralSecurityException {
        KeyAgreement agreement = KeyAgreement.getInstance(ours.getAlgorithm().equals("EC") ? "ECDH" : "XDH");
        agreement.init(ours);
        agreement.doPhase(theirs, true);
        byte[] algorithm = AGREEMENT.getBytes(StandardCharsets.US_ASCII);
        byte[] info = concat(counted(algorithm), counted(apu), counted(apv), number(256));
        return new SecretKeySpec(sha256(number(1), agreement.generateSecret(), info), "AES");
    }

    // Bytes --------------------------------------------------------------------------------------------

    static byte[] sha256(byte[]... parts) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(concat(parts));
        } catch (GeneralSecurityException error) {
            throw new IllegalStateException(error);
        }
    }

    static String base64url(byte[] bytes) {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
    }

    static byte[] unbase64url(String text) {
        return Base64.getUrlDecoder().decode(text);
    }

    private static byte[] octets(JsonObject object, String name) {
        return object.has(name) ? unbase64url(Json.text(object, name)) : new byte[0];
    }

    static byte[] random(int length) {
        byte[] bytes = new byte[length];
        RANDOM.nextBytes(bytes);
        return bytes;
    }

    private static byte[] number(int value) {
        return ByteBuffer.allocate(4).putInt(value).array();
    }

    private static byte[] counted(byte[] bytes) {
        return concat(number(bytes.length), bytes);
    }

    static byte[] concat(byte[]... parts) {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            all.writeBytes(part);
        }
        return all.toByteArray();
    }
}
