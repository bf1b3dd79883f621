import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.util.Map;

/** The hub over HTTP: every call with a token of its own, and again while there is no answer. */
final class Hub {
    private static final Map<String, String> ENV = System.getenv();
    private static final String URL = ENV.getOrDefault("XIEBAN_HUB", "http://127.0.0.1:8420").replaceAll("/+$", "");
    private static final int TRIES = Integer.parseInt(ENV.getOrDefault("XIEBAN_TRIES", "6"));

    private final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private final String organisation;
    private final JsonArray keys;
    private String id;

    Hub(String organisation, JsonArray keys) {
        this.organisation = organisation;
        this.keys = keys;
    }

    /** The hub's id: the audience of tokens, and the home of the cases opened there. */
    String id() throws GeneralSecurityException, InterruptedException {
        if (id == null) {
            id = Json.text(call("GET", "/v1/hub", null, false), "id");
        }
        return id;
    }

    JsonObject get(String path) throws GeneralSecurityException, InterruptedException {
        return call("GET", path, null, true);
    }

    /** What is signed itself needs no token. */
    JsonObject post(String path, String compact) throws GeneralSecurityException, InterruptedException {
        return call("POST", path, compact, false);
    }

    private JsonObject call(String method, String path, String body, boolean token)
            throws GeneralSecurityException, InterruptedException {
        String why = "";
        for (int tried = 1; tried <= TRIES; tried++) {
            HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(URL + path));
            request.timeout(Duration.ofSeconds(60));
            request.method(method, body == null ? BodyPublishers.noBody() : BodyPublishers.ofString(body));
            if (body != null) {
                request.header("Content-Type", "application/jose");
            }
            if (token) {
                request.header("Authorization", "Bearer " + Messages.bearer(keys, organisation, id()));
            }
            long asked = 0;
            JsonObject problem = null;
            try {
                HttpResponse<String> response = client.send(request.build(), BodyHandlers.ofString());
                JsonObject answer = Json.parse(response.body());
                if (response.statusCode() / 100 == 2) {
                    return answer;
                }
                problem = answer;
                why = Json.text(problem, "title");
                String header = response.headers().firstValue("Retry-After").orElse("");
                asked = header.matches("[0-9]{1,4}") ? Long.parseLong(header) : 0;
            } catch (IOException | Broken error) {
                // No connection, one that broke off, or an answer that is not JSON and so not the hub's.
                why = error.toString();
            }
            if (problem != null && problem.has("retryable") && !problem.get("retryable").getAsBoolean()) {
                throw new Refused(problem);
            }
            if (tried < TRIES) {
                // Part of the pause is chance: partners of a hub that was away shall not come back in step.
                double seconds = Math.max(0.1 * Math.pow(2, tried), Math.min(asked, 60));
                Thread.sleep((long) (1000 * seconds * (1 + Math.random() / 2)));
            }
        }
        throw new Undecided(why);
    }
}
