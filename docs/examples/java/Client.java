import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;

/**
 * A bureau at a hub, whole, by the wire contract alone: Java 17 or newer and Gson, nothing of the hub's code.
 *
 * <p>One command a call; JSON on standard output, one line each; what goes wrong on standard error and in the exit
 * status: 1 the hub refused · 2 something received does not hold · 3 the hub could not be reached, try again · 64 usage
 */
public final class Client {
    private static final String CATALOGUE = "https://xieban.example/v1/protocols/case-assistance/1.0";
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    private static final PrintStream ERR = new PrintStream(System.err, true, StandardCharsets.UTF_8);

    private final String organisation;
    private final JsonArray keys;
    private final Hub hub;

    private Client() throws IOException {
        JsonObject ourselves = Home.ourselves();
        organisation = Json.text(ourselves, "organisation");
        keys = ourselves.getAsJsonArray("keys");
        hub = new Hub(organisation, keys);
    }

    // Sending ------------------------------------------------------------------------------------------

    private void open(String to, String dataFile, String sealedFile) throws Exception {
        JsonObject data = Json.parse(Files.readString(Path.of(dataFile)));
        JsonObject content = Json.parse(Files.readString(Path.of(sealedFile)));
        List<String> recipients = List.of(to.split(","));
        say("case-assistance.request", CATALOGUE + "/request", Messages.newId(), recipients, data, content, null);
    }

    private void reply(String position, String message, String dataFile, String sealedFile) throws Exception {
        JsonObject event = Home.load("inbox/" + position + ".json").getAsJsonObject("event");
        JsonObject data = Json.parse(Files.readString(Path.of(dataFile)));
        JsonObject content = sealedFile == null ? null : Json.parse(Files.readString(Path.of(sealedFile)));
        // Parties come and go: whom to tell, the case says as of now. Its version never changes.
        String subject = Json.text(event, "subject");
        JsonObject found = hub.get("/v1/cases/" + subject);
        Set<String> others = new LinkedHashSet<>(List.of(Json.text(found, "opener"), Json.text(found, "responder")));
        found.getAsJsonArray("participants").forEach(one -> others.add(one.getAsString()));
        others.removeIf(id -> id.equals(organisation) || id.endsWith("-hub"));
        String type = Json.text(found, "protocol") + "." + message;
        String schema = Json.text(event, "dataschema").replaceFirst("[^/]*$", message);
        say(type, schema, subject, List.copyOf(others), data, content, Json.text(event, "id"));
    }

    /** Seals, signs, keeps and sends one message. */
    private void say(String type, String schema, String subject, List<String> recipients, JsonObject data,
            JsonObject content, String causation) throws Exception {
        JsonObject event = Json.object(
                "specversion", "1.0",
                "id", Messages.newId(),
                "source", organisation,
                "type", type,
                "dataschema", schema,
                "subject", subject,
                "time", now(),
                "recipients", String.join(" ", recipients),
                "hub", hub.id(),
                "datacontenttype", "application/json",
                "causationid", causation,
                "data", data);
        if (content != null) {
            // To ourselves too: we want to be able to read what we said.
            List<JsonObject> openers = new ArrayList<>(Messages.openersOf(organisation, keys));
            for (String id : recipients) {
                openers.addAll(Messages.openersOf(id, publishedBy(id, false)));
            }
            Messages.seal(event, content, openers);
        }
        String compact = Messages.sign(keys, event, "xieban+jws", "application/cloudevents+json");
        // Kept before it is sent: from here on nothing can make us say the same thing in other bytes.
        Home.keep("sent/" + Json.text(event, "id") + ".jose", compact);
        deliver(Json.text(event, "id"));
    }

    /** Sends the kept bytes of a message and proves the receipt; again and again, if need be. */
    private void deliver(String id) throws Exception {
        Path kept = Home.at("sent/" + id + ".jose");
        String compact = Files.readString(kept);
        String receiptName = "sent/" + id + ".receipt.json";
        JsonObject receipt;
        try {
            receipt = hub.post("/v1/messages", compact);
        } catch (Refused refused) {
            // What was refused was not stored, and is not to be sent again by `resend`.
            Files.move(kept, Home.at("sent/" + id + ".refused"));
            throw refused;
        }
        JsonObject event = Messages.read(compact);
        JsonObject entry = Receipt.verify(receipt, compact, Home.hubKeys());
        sameMessage(entry, event);
        if (Home.has(receiptName)) {
            JsonElement first = Home.load(receiptName).getAsJsonObject("log").get("entry");
            boolean same = first.equals(receipt.getAsJsonObject("log").get("entry"));
            Broken.unless(same, "the hub gave another receipt than the first one");
        }
        Home.keep(receiptName, Json.GSON.toJson(receipt));
        print("id", id, "case", event.get("subject"), "type", event.get("type"), "accepted", entry.get("at"),
                "due", entry.get("due"));
    }

    /** Without an id, everything that has no receipt yet. */
    private void resend(String id) throws Exception {
        for (String one : id != null ? List.of(id) : Home.listed("sent", ".jose")) {
            if (id != null || !Home.has("sent/" + one + ".receipt.json")) {
                deliver(one);
            }
        }
    }

    /** The log must speak of this very message, or whoever reads it later is told something else than we were. */
    private static void sameMessage(JsonObject entry, JsonObject event) {
        for (String name : List.of("id", "source", "type", "subject", "causationid")) {
            boolean same = Objects.equals(Json.text(entry, name), Json.text(event, name));
            Broken.unless(same, "the log entry has another " + name + " than the message");
        }
        Set<String> named = Set.of(Json.text(event, "recipients").split(" "));
        boolean same = entry.getAsJsonObject("recipients").keySet().equals(named);
        Broken.unless(same, "the log entry names other recipients than the message");
    }

    // Receiving ----------------------------------------------------------------------------------------

    /** Reads on from the cursor; each item is checked and kept before the cursor moves past it. */
    private void poll(String wait) throws Exception {
        JsonObject cursor = Json.object("hub", hub.id(), "organisation", organisation, "position", 0);
        if (Home.has("cursor.json")) {
            JsonObject kept = Home.load("cursor.json");
            for (String name : List.of("hub", "organisation")) {
                Broken.unless(kept.get(name).equals(cursor.get(name)), "the cursor is of another mailbox");
            }
            cursor = kept;
        }
        int faults = 0;
        long behind;
        do {
            long position = cursor.get("position").getAsLong();
            JsonObject page = hub.get("/v1/mailbox?after=" + position + "&limit=100&wait=" + wait);
            for (JsonElement element : page.getAsJsonArray("items")) {
                JsonObject item = element.getAsJsonObject();
                long here = item.get("position").getAsLong();
                // A hub that was set back numbers on in a new epoch: positions above a multiple of 2^40.
                boolean next = here == position + 1 || (here > position && here % (1L << 40) == 1);
                Broken.unless(next, "the mailbox has a gap after " + position);
                position = here;
                // A message may expire before anybody fetches it; its position stays.
                boolean expired = "true".equals(Json.text(item, "expired"));
                if (!expired && !receive(item, position)) {
                    faults++;
                }
                cursor.addProperty("position", position);
                Home.keep("cursor.json", Json.GSON.toJson(cursor));
            }
            behind = page.get("behind").getAsLong();
            Broken.unless(behind == 0 || !page.getAsJsonArray("items").isEmpty(), "the hub holds messages back");
            wait = "0";
        } while (behind > 0);
        Broken.unless(faults == 0, faults + " sealed part(s) do not hold: their senders are to be told");
    }

    /** Proves one item and opens it; whether its seal held. */
    private boolean receive(JsonObject item, long position) throws Exception {
        String compact = Json.text(item, "message");
        JsonObject entry = Receipt.verify(item.getAsJsonObject("receipt"), compact, Home.hubKeys());
        JsonElement logged = entry.getAsJsonObject("recipients").get(organisation);
        boolean here = logged != null && logged.getAsLong() == position;
        Broken.unless(here, "the log has this message at another position");
        String source = Json.text(entry, "source");
        boolean itself = Json.text(entry, "gateway") == null;
        Broken.unless(itself, "a gateway signed for " + source + ": this example does not follow delegations");
        JsonObject event = Messages.verifyAuthor(compact, publishedBy(source, true), Json.text(entry, "at"));
        sameMessage(entry, event);
        Broken.unless(hub.id().equals(Json.text(event, "hub")), "the message is for another hub");
        JsonObject content = null;
        String fault = null;
        try {
            content = event.getAsJsonObject("data").has("sealed") ? Messages.unseal(event, keys) : null;
        } catch (RuntimeException error) {
            // The hub can't look inside: a bad seal is the sender's doing, signed by it. That is kept, and the mailbox
            // goes on.
            fault = error.getMessage();
        }
        JsonObject kept = Json.object("position", position, "event", event, "content", content, "fault", fault,
                "message", compact, "receipt", item.get("receipt"));
        Home.keep("inbox/" + position + ".json", Json.GSON.toJson(kept));
        JsonObject data = event.getAsJsonObject("data").deepCopy();
        data.remove("sealed");
        data.remove("sealed_digest");
        print("position", position, "from", source, "type", event.get("type"), "case", event.get("subject"),
                "data", data, "content", content, "fault", fault, "due", entry.get("due"));
        return fault == null;
    }

    /** Signs for everything read so far. It is the bureau's word that it has it: nobody can say that in its place. */
    private void acknowledge() throws Exception {
        long through = Home.listed("inbox", ".json").stream().mapToLong(Long::parseLong).max().orElse(0);
        if (through == 0) {
            return;
        }
        String message = Json.text(Home.load("inbox/" + through + ".json"), "message");
        JsonObject said = Json.object("hub", hub.id(), "recipient", organisation, "through", through,
                "digest", Receipt.digest(message.getBytes(StandardCharsets.UTF_8)), "time", now());
        String compact = Messages.sign(keys, said, "xieban-ack+jws", null);
        JsonObject taken = hub.post("/v1/mailbox/acknowledge", compact);
        // Signed for before: then there is nothing new in the log.
        if (taken.has("log") && !taken.get("log").isJsonNull()) {
            JsonObject entry = Receipt.verifyLog(taken.getAsJsonObject("log"), Home.hubKeys());
            boolean ours = "acknowledged".equals(Json.text(entry, "kind")) && compact.equals(Json.text(entry, "jws"));
            Broken.unless(ours, "the log holds another acknowledgement than ours");
        }
        print("acknowledged", through, "new", taken.get("new"));
    }

    /** The keys of an organisation: those of now to seal to, all there ever were to verify with. */
    private JsonArray publishedBy(String id, boolean history) throws GeneralSecurityException, InterruptedException {
        return hub.get("/v1/organisations/" + id + "/jwks.json" + (history ? "?history=1" : "")).getAsJsonArray("keys");
    }

    // Keys, and proofs from paper ----------------------------------------------------------------------

    private static void keys(String organisation, String zh, String en) throws Exception {
        if (Home.has("keys.json")) {
            throw new IOException("密钥已存在，不覆盖 · there are keys already: " + Home.at("keys.json"));
        }
        JsonObject name = Json.object("zh", zh, "en", en);
        JsonObject made = Json.object("organisation", organisation, "name", name, "keys", Messages.makeKeys());
        Home.keep("keys.json", Json.GSON.toJson(made));
    }

    /** What the hub's operator imports: public keys only. */
    private static void joinRecord() throws IOException {
        JsonObject we = Home.ourselves();
        JsonObject record = Json.object("id", Json.text(we, "organisation"), "name", we.get("name"),
                "roles", List.of("bureau"), "jwks", Messages.published(we.getAsJsonArray("keys")));
        OUT.println(Json.GSON.toJson(List.of(record)));
    }

    /** Needs neither the hub nor our keys: whoever has message, receipt and hub.jwks can do it, in ten years too. */
    private static void verify(String messageFile, List<String> receiptFiles) throws IOException {
        String compact = Files.readString(Path.of(messageFile)).strip();
        int broken = 0;
        for (String file : receiptFiles) {
            try {
                JsonObject receipt = Json.parse(Files.readAllBytes(Path.of(file)));
                print("receipt", file, "holds", true, "entry", Receipt.verify(receipt, compact, Home.hubKeys()));
            } catch (Broken why) {
                broken++;
                print("receipt", file, "holds", false, "why", why.getMessage());
            }
        }
        Broken.unless(broken == 0, broken + " receipt(s) do not hold");
    }

    // The command line ---------------------------------------------------------------------------------

    private static final String USAGE = """
            用法 · usage:
              keys ORGANISATION NAME-ZH NAME-EN
              join-record
              open TO[,TO…] DATA.json SEALED.json
              poll [SECONDS-TO-WAIT]
              reply POSITION MESSAGE DATA.json [SEALED.json]
              acknowledge
              resend [ID]
              verify MESSAGE.jose RECEIPT.json…""";

    private static void print(Object... namesAndValues) {
        OUT.println(Json.GSON.toJson(Json.object(namesAndValues)));
    }

    private static String now() {
        return Instant.now().truncatedTo(ChronoUnit.MILLIS).toString();
    }

    private static void run(String[] given) throws Exception {
        String command = given.length == 0 ? "" : given[0];
        String[] of = Arrays.copyOf(given, Math.max(5, given.length));
        int count = given.length - 1;
        switch (command) {
            case "keys" -> keys(of[1], of[2], Objects.requireNonNull(of[3], USAGE));
            case "join-record" -> joinRecord();
            case "open" -> new Client().open(of[1], of[2], Objects.requireNonNull(of[3], USAGE));
            case "poll" -> new Client().poll(count > 0 ? of[1] : "0");
            case "reply" -> new Client().reply(of[1], of[2], Objects.requireNonNull(of[3], USAGE), of[4]);
            case "acknowledge" -> new Client().acknowledge();
            case "resend" -> new Client().resend(of[1]);
            case "verify" -> verify(Objects.requireNonNull(of[1], USAGE), List.of(given).subList(2, given.length));
            default -> throw new IllegalArgumentException(USAGE);
        }
    }

    /** The exit status of a failure, once it is told. */
    private static int told(Exception error) {
        if (error instanceof Refused refused) {
            ERR.println("枢纽拒绝 · refused: " + error.getMessage());
            JsonObject problem = refused.problem;
            if (problem.has("detail")) {
                ERR.println("  " + Json.text(problem, "detail"));
            }
            if (problem.has("errors")) {
                for (JsonElement one : problem.getAsJsonArray("errors")) {
                    JsonObject place = one.getAsJsonObject();
                    ERR.println("  " + Json.text(place, "pointer") + ": " + Json.text(place, "message"));
                }
            }
            if (problem.has("allowed_actions")) {
                ERR.println("  现在可以 · allowed now: " + problem.get("allowed_actions"));
            }
            return 1;
        }
        boolean broken = error instanceof Broken;
        boolean undecided = error instanceof Undecided;
        ERR.println((broken ? "不成立 · does not hold: " : undecided ? "未决，请重发 · undecided, resend: "
                : "无法执行 · can't be done: ") + (error.getMessage() == null ? error : error.getMessage()));
        return broken ? 2 : undecided ? 3 : 64;
    }

    public static void main(String[] given) {
        int status = 0;
        try {
            run(given);
        } catch (Exception error) {
            status = told(error);
        }
        System.exit(status);
    }
}
