// A small CDS service in the way of servers made with Spring: its JSON of errors, 405 and 415, no cross-origin headers for foreign verbs.
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class SpringServer {
    static final String SERVICE = "{\"services\":[{\"hook\":\"patient-view\",\"id\":\"welcome\",\"title\":\"Welcome\","
        + "\"description\":\"Says that a patient was opened.\"}]}";

    static void send(HttpExchange exchange, int status, String body) throws IOException {
        byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
        var headers = exchange.getResponseHeaders();
        headers.add("Vary", "Origin");
        headers.add("Vary", "Access-Control-Request-Method");
        if (exchange.getRequestHeaders().containsKey("Origin")) {
            headers.set("Access-Control-Allow-Origin", "*");
            headers.set("Access-Control-Allow-Methods", "GET,POST");
            headers.set("Access-Control-Allow-Headers", "content-type, authorization");
        }
        headers.set("Content-Type", "application/json");
        boolean isHead = exchange.getRequestMethod().equals("HEAD");
        exchange.sendResponseHeaders(status, isHead || bytes.length == 0 ? -1 : bytes.length);
        if (!isHead && bytes.length > 0) exchange.getResponseBody().write(bytes);
        exchange.close();
    }

    static void error(HttpExchange exchange, int status, String words) throws IOException {
        send(exchange, status, "{\"timestamp\":\"2026-11-20T09:00:00.000+00:00\",\"status\":" + status
            + ",\"error\":\"" + words + "\"}");
    }

    static void answer(HttpExchange exchange) throws IOException {
        String path = exchange.getRequestURI().getPath(), method = exchange.getRequestMethod();
        byte[] body = exchange.getRequestBody().readNBytes(6_000_000);
        if (method.equals("OPTIONS")) { send(exchange, 200, ""); return; }
        if (path.equals("/cds-services")) {
            if (method.equals("GET") || method.equals("HEAD")) send(exchange, 200, SERVICE); else error(exchange, 405, "Method Not Allowed");
            return;
        }
        boolean isFeedback = path.equals("/cds-services/welcome/feedback");
        if (!isFeedback && !path.equals("/cds-services/welcome")) { error(exchange, 404, "Not Found"); return; }
        if (!method.equals("POST")) { error(exchange, 405, "Method Not Allowed"); return; }
        String type = exchange.getRequestHeaders().getFirst("Content-Type");
        if (type == null || !type.startsWith("application/json")) { error(exchange, 415, "Unsupported Media Type"); return; }
        if (body.length == 6_000_000) { error(exchange, 413, "Payload Too Large"); return; }
        Object call;
        try { call = new Json(new String(body, StandardCharsets.UTF_8)).whole(); }
        catch (RuntimeException fault) { error(exchange, 400, "Bad Request"); return; }
        if (isFeedback) { send(exchange, 200, ""); return; }
        if (!(call instanceof java.util.Map<?, ?> request) || !(request.get("context") instanceof java.util.Map<?, ?> context)
            || !"patient-view".equals(request.get("hook")) || !(request.get("hookInstance") instanceof String)
            || !(context.get("patientId") instanceof String) || !(context.get("userId") instanceof String)) {
            error(exchange, 400, "Bad Request");
            return;
        }
        send(exchange, 200, "{\"cards\":[]}");
    }

    public static void main(String[] arguments) throws IOException {
        var server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0])), 0);
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.createContext("/", exchange -> {
            try { answer(exchange); } catch (Throwable fault) { error(exchange, 500, "Internal Server Error"); }
        });
        server.start();
    }
}

class Json {
    final String text;
    int at = 0;

    Json(String text) { this.text = text; }

    Object whole() {
        Object value = value(0);
        blank();
        if (at != text.length()) throw new IllegalArgumentException();
        return value;
    }

    void blank() { while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) at++; }

    boolean take(char sign) { blank(); if (at < text.length() && text.charAt(at) == sign) { at++; return true; } return false; }

    void need(char sign) { if (!take(sign)) throw new IllegalArgumentException(); }

    Object value(int depth) {
        if (depth > 500) throw new IllegalArgumentException();
        if (take('{')) {
            var members = new java.util.HashMap<String, Object>();
            if (take('}')) return members;
            do {
                blank();
                String name = string();
                need(':');
                members.put(name, value(depth + 1));
            } while (take(','));
            need('}');
            return members;
        }
        if (take('[')) {
            var items = new java.util.ArrayList<Object>();
            if (take(']')) return items;
            do items.add(value(depth + 1)); while (take(','));
            need(']');
            return items;
        }
        if (at < text.length() && text.charAt(at) == '"') return string();
        Matcher word = Pattern.compile("true|false|null|-?(?:0|[1-9][0-9]*)(?:\\.[0-9]+)?(?:[eE][+-]?[0-9]+)?").matcher(text).region(at, text.length());
        if (!word.lookingAt()) throw new IllegalArgumentException();
        at = word.end();
        return word.group().equals("null") ? null : (Object) word.group().getBytes();
    }

    String string() {
        if (at >= text.length() || text.charAt(at) != '"') throw new IllegalArgumentException();
        StringBuilder read = new StringBuilder();
        for (at++; text.charAt(at) != '"'; at++) {
            char sign = text.charAt(at);
            if (sign < ' ') throw new IllegalArgumentException();
            if (sign == '\\') {
                sign = text.charAt(++at);
                if (sign == 'u') { sign = (char) Integer.parseInt(text.substring(at + 1, at + 5), 16); at += 4; }
                else if ("\"\\/bfnrt".indexOf(sign) < 0) throw new IllegalArgumentException();
            }
            read.append(sign);
        }
        at++;
        return read.toString();
    }
}
