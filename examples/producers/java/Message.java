import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.rabbitmq.client.AMQP.BasicProperties;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Date;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** One AMQP message: a notification, or one payload for many devices. */
final class Message {
    static final ObjectMapper JSON = new ObjectMapper();

    record Item(String id, String token) {}

    final List<Item> items;
    final byte[] body;
    /** The first item's slot, then the other slots, each once. */
    private final List<String> keys;
    private final String kind;
    private final Instant at = Instant.now();

    /** Gives each token an id and writes the body. */
    Message(String topic, List<String> tokens, JsonNode payload) throws JsonProcessingException {
        if (tokens.isEmpty() || tokens.size() > Contract.ITEMS_MAX) {
            throw new IllegalArgumentException(tokens.size() + " tokens; a batch has 1 to " + Contract.ITEMS_MAX + " items");
        }
        // One device, one spelling.
        items = tokens.stream().map(token -> new Item(Contract.newId(), token.toLowerCase(Locale.ROOT))).toList();
        keys = new ArrayList<>(new LinkedHashSet<>(tokens.stream().map(Contract::slot).toList()));
        Map<String, Object> fields = new HashMap<>();
        fields.put("topic", topic);
        fields.put("submitted_at", at.truncatedTo(ChronoUnit.MILLIS).toString());
        fields.put("payload", payload);
        if (items.size() == 1) {
            kind = "skein.notification.v1";
            fields.put("id", items.get(0).id());
            fields.put("token", items.get(0).token());
        } else {
            kind = "skein.batch.v1";
            fields.put("items", items);
        }
        body = JSON.writeValueAsBytes(fields);
        if (body.length > Contract.BODY_BYTES_MAX) {
            throw new IllegalArgumentException(body.length + " bytes; a message has at most " + Contract.BODY_BYTES_MAX);
        }
    }

    String routingKey() {
        return keys.get(0);
    }

    /** {@code repeat} marks what was published before and whose outcome was not learnt. No priority: it would break the order. */
    BasicProperties properties(boolean repeat) {
        Map<String, Object> headers = new HashMap<>();
        if (keys.size() > 1) {
            headers.put("BCC", keys.subList(1, keys.size()));
        }
        if (repeat) {
            headers.put("x-skein-repeat", true);
        }
        return new BasicProperties.Builder()
                .contentType("application/json")
                .type(kind)
                .messageId(items.get(0).id())
                .deliveryMode(2)
                .timestamp(Date.from(at))
                .headers(headers)
                .build();
    }
}
