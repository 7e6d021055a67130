import com.eatthepath.pushy.apns.auth.ApnsVerificationKey;
import com.eatthepath.pushy.apns.server.MockApnsServerBuilder;
import com.eatthepath.pushy.apns.server.MockApnsServerListener;
import com.eatthepath.pushy.apns.server.PushNotificationHandler;
import com.eatthepath.pushy.apns.server.PushNotificationHandlerFactory;
import com.eatthepath.pushy.apns.server.RejectionReason;
import com.eatthepath.pushy.apns.server.ValidatingPushNotificationHandlerFactory;
import io.netty.buffer.ByteBuf;
import io.netty.handler.codec.http2.Http2Headers;
import java.io.File;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/**
 * Pushy's MockApnsServer with its validating handlers. Arguments: port, folder with cert.pem, key.pem, ca.pem,
 * token-key.pem and tokens.txt (a device token a line, with the milliseconds at which it expired, if it has), "token" or
 * "certificate", topic, key id, team id, most concurrent streams.
 */
public class WireServer {
    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(arguments[0]);
        Path folder = Path.of(arguments[1]);
        boolean byCertificate = arguments[2].equals("certificate");
        String topic = arguments[3];

        Set<String> tokens = new HashSet<>();
        Map<String, Instant> expired = new HashMap<>();
        for (String line : Files.readAllLines(folder.resolve("tokens.txt"))) {
            String[] words = line.split(" ");
            tokens.add(words[0]);
            if (words.length > 1) {
                expired.put(words[0], Instant.ofEpochMilli(Long.parseLong(words[1])));
            }
        }
        Map<String, ApnsVerificationKey> keys = new HashMap<>();
        Map<ApnsVerificationKey, Set<String>> topics = new HashMap<>();
        ApnsVerificationKey key = ApnsVerificationKey.loadFromPkcs8File(
                folder.resolve("token-key.pem").toFile(), arguments[5], arguments[4]);
        keys.put(arguments[4], key);
        topics.put(key, Set.of(topic));

        File certificate = folder.resolve("cert.pem").toFile();
        MockApnsServerBuilder builder = new MockApnsServerBuilder()
                .setServerCredentials(certificate, folder.resolve("key.pem").toFile(), null)
                .setMaxConcurrentStreams(Integer.parseInt(arguments[6]))
                .generateApnsUniqueId(true)
                .setUseAlpn(true)
                .setListener(new Account())
                .setHandlerFactory(byRfc(new ValidatingPushNotificationHandlerFactory(
                        Map.of(topic, tokens), expired, keys, topics)));
        if (byCertificate) {
            builder.setTrustedClientCertificateChain(folder.resolve("ca.pem").toFile());
        }
        builder.build().start(port).get();
        System.out.println("listening");
    }

    /**
     * Pushy signs provider tokens with a DER signature and its mock checks them as such. RFC 7518, section 3.4, wants the
     * two numbers as they are, as Apple's own samples have it: hands those on in the form that the mock takes.
     */
    private static PushNotificationHandlerFactory byRfc(PushNotificationHandlerFactory factory) {
        return session -> {
            PushNotificationHandler handler = factory.buildHandler(session);
            return (headers, payload) -> {
                CharSequence authorization = headers.get("authorization");
                if (authorization != null) {
                    String token = authorization.toString();
                    int signature = token.lastIndexOf('.') + 1;
                    byte[] der = der(Base64.getUrlDecoder().decode(token.substring(signature)));
                    String encoded = Base64.getUrlEncoder().withoutPadding().encodeToString(der);
                    headers.set("authorization", token.substring(0, signature) + encoded);
                }
                handler.handlePushNotification(headers, payload);
            };
        };
    }

    private static byte[] der(byte[] raw) {
        if (raw.length != 64) {
            throw new IllegalArgumentException("an ES256 signature has 64 bytes, this one " + raw.length);
        }
        byte[] r = new BigInteger(1, Arrays.copyOfRange(raw, 0, 32)).toByteArray();
        byte[] s = new BigInteger(1, Arrays.copyOfRange(raw, 32, 64)).toByteArray();
        ByteBuffer sequence = ByteBuffer.allocate(6 + r.length + s.length);
        sequence.put((byte) 0x30).put((byte) (4 + r.length + s.length));
        sequence.put((byte) 2).put((byte) r.length).put(r).put((byte) 2).put((byte) s.length).put(s);
        return sequence.array();
    }

    private static final class Account implements MockApnsServerListener {
        @Override
        public void handlePushNotificationAccepted(Http2Headers headers, ByteBuf payload) {
            tell(headers, payload);
        }

        @Override
        public void handlePushNotificationRejected(
                Http2Headers headers, ByteBuf payload, RejectionReason reason, Instant timestamp) {
            tell(headers, payload);
        }

        private void tell(Http2Headers headers, ByteBuf payload) {
            int length = payload == null ? 0 : payload.readableBytes();
            long sum = 0;
            for (int n = 0; n < length; n++) {
                sum += payload.getUnsignedByte(payload.readerIndex() + n);
            }
            String token = headers.path().toString().substring("/3/device/".length());
            System.out.print("read " + headers.get("apns-id") + " " + token + " " + length + " " + sum + "\n");
        }
    }
}
