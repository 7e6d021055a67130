import com.eatthepath.pushy.apns.auth.ApnsVerificationKey;
import com.eatthepath.pushy.apns.server.MockApnsServerBuilder;
import com.eatthepath.pushy.apns.server.MockApnsServerListener;
import com.eatthepath.pushy.apns.server.RejectionReason;
import com.eatthepath.pushy.apns.server.ValidatingPushNotificationHandlerFactory;
import io.netty.buffer.ByteBuf;
import io.netty.handler.codec.http2.Http2Headers;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
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
                folder.resolve("token-key.pem").toFile(), arguments[4], arguments[5]);
        keys.put(arguments[4], key);
        topics.put(key, Set.of(topic));

        File certificate = folder.resolve("cert.pem").toFile();
        MockApnsServerBuilder builder = new MockApnsServerBuilder()
                .setServerCredentials(certificate, folder.resolve("key.pem").toFile(), null)
                .setMaxConcurrentStreams(Integer.parseInt(arguments[6]))
                .generateApnsUniqueId(true)
                .setUseAlpn(true)
                .setListener(new Account())
                .setHandlerFactory(new ValidatingPushNotificationHandlerFactory(
                        Map.of(topic, tokens), expired, keys, topics));
        if (byCertificate) {
            builder.setTrustedClientCertificateChain(folder.resolve("ca.pem").toFile());
        }
        builder.build().start(port).get();
        System.out.println("listening");
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
