// The gRPC service of rpc_tool.mjs, described at run time: the same module on both sides, no compiler.
import { create, createFileRegistry } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FieldDescriptorProto_Label, FieldDescriptorProto_Type, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';

const field = (name, number, type) => ({ name, number, type: FieldDescriptorProto_Type[type], label: FieldDescriptorProto_Label.OPTIONAL, jsonName: name });
const file = create(FileDescriptorProtoSchema, {
  name: 'desk.proto', package: 'desk', syntax: 'proto3',
  messageType: [{ name: 'Ask', field: [field('text', 1, 'STRING'), field('count', 2, 'INT32'), field('blob', 3, 'BYTES')] },
    { name: 'Said', field: [field('text', 1, 'STRING'), field('count', 2, 'INT32'), field('blob', 3, 'BYTES')] }],
  service: [{ name: 'Desk', method: [{ name: 'Say', inputType: '.desk.Ask', outputType: '.desk.Said' },
    { name: 'Count', inputType: '.desk.Ask', outputType: '.desk.Said', serverStreaming: true }] }],
});
export const Desk = createFileRegistry(create(FileDescriptorSetSchema, { file: [file] })).getService('desk.Desk');
