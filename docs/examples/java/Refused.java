import com.google.gson.JsonObject;

/** The hub said no; {@code problem} is its RFC 9457 answer. */
final class Refused extends RuntimeException {
    private static final long serialVersionUID = 1;
    final transient JsonObject problem;

    Refused(JsonObject problem) {
        super("%s %s (%s)".formatted(
                Json.text(problem, "status"), Json.text(problem, "title"), Json.text(problem, "type")));
        this.problem = problem;
    }
}
