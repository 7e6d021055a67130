import com.fasterxml.jackson.databind.JsonNode;
import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/**
 * Submits push notifications to Skein by plain AMQP.
 *
 * <pre>
 * java Main AMQP_URL POOL TOPIC < messages    each line {"tokens":["…",…],"payload":{"aps":{…}}}
 * java Main vectors routing.json              checks the routing against the published vectors
 * </pre>
 *
 * Prints a line for each notification that is accepted: the number of its line, its id, its device token.
 */
public final class Main {
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    public static void main(String[] arguments) throws Exception {
        if (arguments.length == 2 && arguments[0].equals("vectors")) {
            checkVectors(arguments[1]);
        } else if (arguments.length == 3) {
            submitAll(arguments[0], arguments[1], arguments[2]);
        } else {
            System.err.println("usage: Main AMQP_URL POOL TOPIC | Main vectors FILE");
            System.exit(2);
        }
    }

    private static void submitAll(String url, String pool, String topic) throws Exception {
        Map<Message, Integer> lines = new IdentityHashMap<>();
        var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try (var producer = new Producer(url, pool, message -> {
            int number = lines.remove(message);
            message.items.forEach(item -> OUT.println(number + " " + item.id() + " " + item.token()));
        })) {
            String line;
            for (int number = 0; (line = input.readLine()) != null; number++) {
                JsonNode fields = Message.JSON.readTree(line);
                List<String> tokens = new ArrayList<>();
                fields.get("tokens").forEach(token -> tokens.add(token.asText()));
                Message message = new Message(topic, tokens, fields.get("payload"));
                lines.put(message, number);
                producer.submit(message);
            }
            producer.flush();
        }
    }

    private static void checkVectors(String path) throws Exception {
        JsonNode vectors = Message.JSON.readTree(new File(path));
        for (JsonNode vector : vectors) {
            String slot = Contract.slot(vector.get("token").asText());
            if (!slot.equals(vector.get("slot").asText())) {
                throw new IllegalStateException(vector + ": slot " + slot);
            }
        }
        OUT.println(vectors.size() + " vectors hold");
    }
}
