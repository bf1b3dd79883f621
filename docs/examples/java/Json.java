import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.stream.JsonReader;
import com.google.gson.stream.JsonToken;
import java.io.IOException;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;

/** JSON in and out, by Gson. */
final class Json {
    static final Gson GSON = new GsonBuilder().serializeNulls().disableHtmlEscaping().create();

    /** One JSON text. Gson's convenient ways of reading are lenient, and what is proven must not be guessed at. */
    static JsonObject parse(String text) {
        try {
            JsonReader reader = new JsonReader(new StringReader(text));
            JsonElement read = GSON.getAdapter(JsonElement.class).read(reader);
            Broken.unless(reader.peek() == JsonToken.END_DOCUMENT, "more than one JSON text");
            return read.getAsJsonObject();
        } catch (IOException | RuntimeException error) {
            throw new Broken("not a JSON object: " + error.getMessage());
        }
    }

    static JsonObject parse(byte[] utf8) {
        return parse(new String(utf8, StandardCharsets.UTF_8));
    }

    static byte[] bytes(JsonElement document) {
        return GSON.toJson(document).getBytes(StandardCharsets.UTF_8);
    }

    /** A member that is text; null where it is absent or null. */
    static String text(JsonObject object, String name) {
        JsonElement member = object.get(name);
        return member == null || member.isJsonNull() ? null : member.getAsString();
    }

    /** An object from names and values, in this order; a null value leaves its name out. */
    static JsonObject object(Object... namesAndValues) {
        JsonObject made = new JsonObject();
        for (int i = 0; i < namesAndValues.length; i += 2) {
            if (namesAndValues[i + 1] != null) {
                made.add((String) namesAndValues[i], GSON.toJsonTree(namesAndValues[i + 1]));
            }
        }
        return made;
    }
}
