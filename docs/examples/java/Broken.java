/** What was received is not what it says it is. */
final class Broken extends RuntimeException {
    private static final long serialVersionUID = 1;

    Broken(String why) {
        super(why);
    }

    static void unless(boolean holds, String why) {
        if (!holds) {
            throw new Broken(why);
        }
    }
}
