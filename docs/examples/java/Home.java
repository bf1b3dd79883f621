import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/** The bureau's folder: its keys, the hub's, its cursor, all it sent and received. */
final class Home {
    private static final Path FOLDER = Path.of(System.getenv().getOrDefault("XIEBAN_HOME", "bureau"));

    static Path at(String name) {
        return FOLDER.resolve(name);
    }

    static boolean has(String name) {
        return Files.exists(at(name));
    }

    static JsonObject load(String name) throws IOException {
        return Json.parse(Files.readString(at(name)));
    }

    /** The files of a folder that end so, without that end. */
    static List<String> listed(String folder, String end) throws IOException {
        if (!has(folder)) {
            return List.of();
        }
        try (Stream<Path> files = Files.list(at(folder))) {
            Stream<String> names = files.map(file -> file.getFileName().toString()).filter(name -> name.endsWith(end));
            return names.map(name -> name.substring(0, name.length() - end.length())).sorted().toList();
        }
    }

    /** A file is there whole or not at all, even if the power fails; what we keep is for this account alone. */
    static void keep(String name, String content) throws IOException {
        Path file = at(name);
        Files.createDirectories(file.getParent(), only("rwx------"));
        Path fresh = at(name + ".new");
        var options = Set.of(StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE);
        try (FileChannel channel = FileChannel.open(fresh, options, only("rw-------"))) {
            ByteBuffer bytes = ByteBuffer.wrap(content.getBytes(StandardCharsets.UTF_8));
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
            channel.force(true);
        }
        Files.move(fresh, file, StandardCopyOption.ATOMIC_MOVE);
    }

    /** Who may do what with a new file, where the system knows such permissions; Windows has others. */
    private static FileAttribute<?>[] only(String permissions) {
        boolean posix = FOLDER.getFileSystem().supportedFileAttributeViews().contains("posix");
        var wanted = PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString(permissions));
        return posix ? new FileAttribute<?>[] {wanted} : new FileAttribute<?>[0];
    }

    static JsonObject ourselves() throws IOException {
        return load("keys.json");
    }

    /**
     * These come from the hub's operator by another way than the hub itself: who asks the hub for the keys that its
     * receipts are to be checked with, has checked nothing.
     */
    static JsonArray hubKeys() throws IOException {
        return load("hub.jwks").getAsJsonArray("keys");
    }
}
