// A client on com.eatthepath:pushy, as its documentation shows it: one ApnsClient, a semaphore around what is in flight.

import com.eatthepath.pushy.apns.ApnsClient;
import com.eatthepath.pushy.apns.ApnsClientBuilder;
import com.eatthepath.pushy.apns.DeliveryPriority;
import com.eatthepath.pushy.apns.PushType;
import com.eatthepath.pushy.apns.auth.ApnsSigningKey;
import com.eatthepath.pushy.apns.util.SimpleApnsPushNotification;
import com.sun.management.OperatingSystemMXBean;
import io.netty.handler.ssl.OpenSsl;
import java.io.File;
import java.io.InputStream;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.time.Instant;
import java.util.Properties;
import java.util.UUID;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicLong;

public final class PushyClient {
  private static final long TOKENS = 100_000;
  private static final Instant EXPIRES = Instant.ofEpochSecond(1_999_999_999L);
  private static final char[] HEX = "0123456789abcdef".toCharArray();

  private final ApnsClient client;
  private final Semaphore free;
  private final int inFlight;
  private final int payloadBytes;

  private PushyClient(ApnsClient client, int inFlight, int payloadBytes) {
    this.client = client;
    this.free = new Semaphore(inFlight);
    this.inFlight = inFlight;
    this.payloadBytes = payloadBytes;
  }

  /** Arguments: host port ca.pem key.p8 payload-bytes in-flight warm-up-seconds notifications. */
  public static void main(String[] arguments) throws Exception {
    ApnsClient apns = new ApnsClientBuilder()
        .setApnsServer(arguments[0], Integer.parseInt(arguments[1]))
        .setTrustedServerCertificateChain(new File(arguments[2]))
        .setSigningKey(ApnsSigningKey.loadFromPkcs8File(new File(arguments[3]), "TEAM123456", "ABCDE12345"))
        .build();
    PushyClient pushy = new PushyClient(apns, Integer.parseInt(arguments[5]), Integer.parseInt(arguments[4]));
    pushy.client.sendNotification(pushy.notification(0)).get();
    long number = 1;
    long warm = System.nanoTime() + Duration.ofSeconds(Long.parseLong(arguments[6])).toNanos();
    while (System.nanoTime() < warm) {
      pushy.push(number, number + 10_000);
      number += 10_000;
    }
    long count = Long.parseLong(arguments[7]);
    OperatingSystemMXBean system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    long cpu = system.getProcessCpuTime();
    long began = System.nanoTime();
    long accepted = pushy.push(number, number + count);
    double seconds = (System.nanoTime() - began) / 1e9;
    cpu = system.getProcessCpuTime() - cpu;
    String tls = OpenSsl.isAvailable() ? OpenSsl.versionString() : "the JDK's TLS";
    String netty = io.netty.util.Version.identify().get("netty-codec-http2").artifactVersion();
    System.out.printf(
        "{\"client\":\"pushy\",\"version\":\"%s, netty %s, java %s, %s\",\"notifications\":%d,\"accepted\":%d,"
            + "\"cpu_us\":%.2f,\"per_second\":%.0f}%n",
        version(), netty, System.getProperty("java.version"), tls, count, accepted,
        cpu / 1e3 / count, count / seconds);
    pushy.client.close().get();
  }

  private static String version() throws Exception {
    Properties properties = new Properties();
    String path = "/META-INF/maven/com.eatthepath/pushy/pom.properties";
    try (InputStream file = ApnsClient.class.getResourceAsStream(path)) {
      properties.load(file);
    }
    return "pushy " + properties.getProperty("version");
  }

  private long push(long from, long until) throws InterruptedException {
    AtomicLong accepted = new AtomicLong();
    for (long number = from; number < until; number++) {
      free.acquire();
      client.sendNotification(notification(number)).whenComplete((response, error) -> {
        free.release();
        if (error != null) {
          System.err.println(error);
        } else if (response.isAccepted()) {
          accepted.incrementAndGet();
        }
      });
    }
    free.acquire(inFlight);
    free.release(inFlight);
    return accepted.get();
  }

  /** Each with a token, an id and a payload of its own. */
  private SimpleApnsPushNotification notification(long number) {
    long device = Long.remainderUnsigned(mix(number * 0x9e3779b97f4a7c15L), TOKENS);
    StringBuilder token = new StringBuilder(64);
    for (int part = 0; part < 4; part++) {
      hex(mix(mix(device) ^ part), token);
    }
    StringBuilder payload = new StringBuilder(payloadBytes);
    payload.append("{\"aps\":{\"alert\":{\"title\":\"Anna Example\",\"body\":\"");
    hex(mix(number), payload);
    String tail = "\"},\"sound\":\"default\"},\"skein_seq\":" + number + "}";
    while (payload.length() + tail.length() < payloadBytes) {
      payload.append('x');
    }
    payload.append(tail);
    long random = mix(~number);
    UUID id = new UUID(System.currentTimeMillis() << 16 | 0x7000 | random & 0xfff, 0x8000000000000000L | number);
    return new SimpleApnsPushNotification(token.toString(), "com.example.im", payload.toString(), EXPIRES,
        DeliveryPriority.IMMEDIATE, PushType.ALERT, null, id);
  }

  private static void hex(long number, StringBuilder out) {
    for (int shift = 60; shift >= 0; shift -= 4) {
      out.append(HEX[(int) (number >>> shift) & 15]);
    }
  }

  /** The finaliser of MurmurHash3. */
  private static long mix(long hash) {
    hash ^= hash >>> 33;
    hash *= 0xff51afd7ed558ccdL;
    hash ^= hash >>> 33;
    hash *= 0xc4ceb9fe1a85ec53L;
    return hash ^ hash >>> 33;
  }
}
