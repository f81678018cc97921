// A small CDS service in the way of servers made with Express: its body limit, its pages of errors, its headers.
import { createServer } from "node:http";

const service = {
  hook: "patient-view", id: "patient-greeter", title: "Greeter", description: "Says that a patient was opened.",
  prefetch: { patient: "Patient/{{context.patientId}}" },
};
const cors = {
  "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "GET,HEAD,PUT,PATCH,POST,DELETE",
  "Access-Control-Allow-Headers": "Content-Type, Authorization", "Access-Control-Expose-Headers": "Origin, Accept",
};

function send(response, status, body, type = "application/json; charset=utf-8") {
  const text = type.startsWith("application/json") ? JSON.stringify(body) : body;
  response.writeHead(status, { ...cors, "X-Powered-By": "Express", "Content-Type": type });
  response.end(text);
}

function answer(request, response, path, text) {
  const page = (status, words) => send(response, status, `<!DOCTYPE html><pre>${words}</pre>`, "text/html; charset=utf-8");
  if (request.method === "OPTIONS") { response.writeHead(204, { ...cors, "Content-Length": "0" }); return response.end(); }
  if (path === "/cds-services" && ["GET", "HEAD"].includes(request.method)) return send(response, 200, { services: [service] });
  if (!path.startsWith("/cds-services/patient-greeter") || request.method !== "POST") return page(404, `Cannot ${request.method} resource`);
  if (!(request.headers["content-type"] ?? "").startsWith("application/json")) return page(415, "Unsupported Media Type");
  if (text.length > 5_000_000) return page(413, "Payload Too Large");
  let call;
  try { call = JSON.parse(text); } catch { return page(400, "Bad Request"); }
  if (path === "/cds-services/patient-greeter/feedback") return send(response, 200, {});
  if (path !== "/cds-services/patient-greeter") return page(404, "Cannot POST resource");
  const context = call?.context;
  const isWhole = call?.hook === "patient-view" && typeof call.hookInstance === "string" && typeof context === "object";
  if (!isWhole || typeof context?.patientId !== "string" || typeof context.userId !== "string") return page(400, "Bad Request");
  const patient = call.prefetch?.patient;
  if (patient?.resourceType !== "Patient") return page(412, "Precondition Failed");
  if (patient.id !== context.patientId) return page(400, "Bad Request");
  send(response, 200, { cards: [{ summary: "A patient was opened", indicator: "info", source: { label: "Greeter" } }] });
}

createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => answer(request, response, request.url.split("?")[0], Buffer.concat(parts).toString("utf8")));
}).listen(Number(process.argv[2]), "127.0.0.1");
