import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.UUID;

/** The parts of Skein's wire contract that are not AMQP: routing keys and ids. */
final class Contract {
    static final int SLOTS = 1024;
    static final int ITEMS_MAX = 1000;
    static final int BODY_BYTES_MAX = 96 << 10;

    private static final SecureRandom RANDOM = new SecureRandom();

    private Contract() {}

    /** The routing key of a device token: FNV-1a over its bytes, finished by MurmurHash3's fmix64, modulo 1024. */
    static String slot(String token) {
        long h = 0xcbf29ce484222325L;
        for (byte b : HexFormat.of().parseHex(token)) {
            h = (h ^ (b & 0xff)) * 0x100000001b3L;
        }
        h ^= h >>> 33;
        h *= 0xff51afd7ed558ccdL;
        h ^= h >>> 33;
        h *= 0xc4ceb9fe1a85ec53L;
        h ^= h >>> 33;
        return Long.toString(Long.remainderUnsigned(h, SLOTS));
    }

    /** A UUIDv7 (RFC 9562): 48 bits of milliseconds, then version, variant and 74 random bits. */
    static String newId() {
        long high = System.currentTimeMillis() << 16 | 0x7000 | RANDOM.nextInt(0x1000);
        long low = RANDOM.nextLong() >>> 2 | 1L << 63;
        return new UUID(high, low).toString();
    }
}
