// The page of rpc_tool.mjs: gRPC-web, binary, by Connect's client. What tools.mjs asks for is in window.desk.
import { createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcWebTransport } from '@connectrpc/connect-web';
import { Desk } from '/rpc_schema.mjs';

const kinds = { 'grpc-web': createGrpcWebTransport({ baseUrl: location.origin }), connect: createConnectTransport({ baseUrl: location.origin, useBinaryFormat: true }) };
window.desk = Object.fromEntries(Object.entries(kinds).map(([kind, transport]) => [kind, createClient(Desk, transport)]));
document.title = 'ready';
