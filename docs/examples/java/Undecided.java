/** Nobody knows whether the call was carried out. Everything here may be done again: nothing happens twice. */
final class Undecided extends RuntimeException {
    private static final long serialVersionUID = 1;

    Undecided(String why) {
        super(why);
    }
}
