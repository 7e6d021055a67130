import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.ShutdownSignalException;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentNavigableMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;

/** A producer that keeps what Skein promises: nothing lost, each device's messages in order. For one thread. */
final class Producer implements AutoCloseable {
    private static final int WINDOW = 256; // messages under way
    private static final long BACKOFF_MS = 500;
    private static final int HEARTBEAT_SECONDS = 10; // a connection that is silent for two of them is lost

    private enum Outcome { ACKED, NACKED, UNKNOWN }

    private static final class Flight {
        final Message message;
        CompletableFuture<Outcome> outcome = new CompletableFuture<>();

        Flight(Message message) {
            this.message = message;
        }
    }

    private final ConnectionFactory factory = new ConnectionFactory();
    private final String exchange;
    private final Consumer<Message> confirmed;
    private final ArrayDeque<Flight> underWay = new ArrayDeque<>(); // oldest first
    private final Set<String> tokens = new HashSet<>(); // those of underWay
    private Connection connection;
    private Channel channel;
    private ConcurrentNavigableMap<Long, CompletableFuture<Outcome>> unconfirmed; // of this channel, by publish number
    private volatile String returned;

    /** {@code confirmed} is called for each message that the broker has accepted, oldest first. */
    Producer(String url, String pool, Consumer<Message> confirmed) throws Exception {
        factory.setUri(url);
        factory.setRequestedHeartbeat(HEARTBEAT_SECONDS);
        // It would hide that what is under way has lost its outcome.
        factory.setAutomaticRecoveryEnabled(false);
        exchange = "skein." + pool;
        this.confirmed = confirmed;
    }

    /** Publishes a message. Waits first while one of its devices has a message under way, or the window is full. */
    void submit(Message message) throws InterruptedException {
        while (underWay.size() >= WINDOW || message.items.stream().anyMatch(item -> tokens.contains(item.token()))) {
            settleOldest();
        }
        message.items.forEach(item -> tokens.add(item.token()));
        Flight flight = new Flight(message);
        underWay.add(flight);
        if (channel == null || !publish(flight, false)) {
            reconnect();
        }
    }

    /** Waits until everything is confirmed. */
    void flush() throws InterruptedException {
        while (!underWay.isEmpty()) {
            settleOldest();
        }
    }

    /**
     * Waits for the oldest message's outcome, for as long as the connection lives: a broker that is short of memory or disk
     * answers when it is well again.
     */
    private void settleOldest() throws InterruptedException {
        Flight flight = underWay.peek();
        Outcome outcome = flight.outcome.join();
        if (returned != null) { // it comes before the ack of its message
            throw new IllegalStateException(returned + ": no queue is bound for its slot: is the pool set up?");
        }
        switch (outcome) {
            case ACKED -> {
                underWay.remove();
                flight.message.items.forEach(item -> tokens.remove(item.token()));
                confirmed.accept(flight.message);
            }
            case NACKED -> {
                // A queue is full. Nothing later of its devices is under way, so it can be published again in its place.
                System.err.println("a queue is full, waiting");
                Thread.sleep(BACKOFF_MS);
                if (!publish(flight, true)) {
                    reconnect();
                }
            }
            case UNKNOWN -> {
                if (channel.getCloseReason().getReason() instanceof AMQP.Channel.Close why && why.getReplyCode() == AMQP.NOT_FOUND) {
                    throw new IllegalStateException(exchange + ": " + why.getReplyText());
                }
                Thread.sleep(BACKOFF_MS);
                reconnect();
            }
        }
    }

    private boolean publish(Flight flight, boolean repeat) {
        flight.outcome = new CompletableFuture<>();
        unconfirmed.put(channel.getNextPublishSeqNo(), flight.outcome);
        try {
            Message m = flight.message;
            channel.basicPublish(exchange, m.routingKey(), true /* mandatory */, m.properties(repeat), m.body);
            return true;
        } catch (IOException | ShutdownSignalException lost) {
            return false;
        }
    }

    /** Connects until it succeeds, and publishes again what has no outcome, in its order and marked as a repeat. */
    private void reconnect() throws InterruptedException {
        while (true) {
            try {
                connect();
                if (underWay.stream().allMatch(flight -> publish(flight, true))) {
                    return;
                }
            } catch (IOException | TimeoutException why) {
                System.err.println("no connection: " + why);
            }
            Thread.sleep(BACKOFF_MS);
        }
    }

    private void connect() throws IOException, TimeoutException {
        if (connection != null) {
            connection.abort(0); // it is of no use any more: don't wait for it
        }
        connection = factory.newConnection("im-backend");
        channel = connection.createChannel();
        ConcurrentNavigableMap<Long, CompletableFuture<Outcome>> mine = new ConcurrentSkipListMap<>();
        unconfirmed = mine;
        channel.confirmSelect();
        channel.addReturnListener(message -> returned = message.getProperties().getMessageId());
        channel.addConfirmListener(
                (number, multiple) -> settle(mine, number, multiple, Outcome.ACKED),
                (number, multiple) -> settle(mine, number, multiple, Outcome.NACKED));
        channel.addShutdownListener(cause -> settle(mine, Long.MAX_VALUE, true, Outcome.UNKNOWN));
    }

    private static void settle(
            ConcurrentNavigableMap<Long, CompletableFuture<Outcome>> unconfirmed, long number, boolean multiple, Outcome outcome) {
        var settled = multiple ? unconfirmed.headMap(number, true) : unconfirmed.subMap(number, true, number, true);
        settled.values().forEach(future -> future.complete(outcome));
        settled.clear();
    }

    @Override
    public void close() throws IOException {
        if (connection != null) {
            connection.close();
        }
    }
}
