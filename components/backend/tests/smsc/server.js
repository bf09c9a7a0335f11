// SMS centres made of npm's `smpp`: one for each connection to the control port, until that connection is closed. A
// centre is told by its first line, in JSON, which certificate to use, if any, and by later ones, a word each, what to
// do. What it meets it tells, a JSON object a line. How it answers is decided by the login and by the last two digits
// of the number.
'use strict';

const fs = require('fs');
const net = require('net');
const readline = require('readline');
const smpp = require('smpp');

const REFUSALS = { 58: 0x58, 14: 0x14, 11: 0x0b, 10: 0x0a, 45: 0x45, 64: 0x64 };
const STATES = { DELIVRD: 2, EXPIRED: 3, UNDELIV: 5 };

class Centre {
  constructor(control) {
    this.control = control;
    this.sessions = new Set();
    this.count = 0;
    this.parts = 0;
  }

  say(event, about = {}) {
    if (this.control.writable) this.control.write(JSON.stringify({ event, ...about }) + '\n');
  }

  open({ certificate, key }) {
    const tls = certificate ? { cert: fs.readFileSync(certificate), key: fs.readFileSync(key) } : {};
    this.server = smpp.createServer(tls, (session) => this.serve(session));
    this.server.listen(0, '127.0.0.1', () => this.say('listening', { port: this.server.address().port }));
  }

  close() {
    if (this.server) this.server.close();
    for (const session of this.sessions) session.destroy();
  }

  serve(session) {
    this.sessions.add(session);
    this.say('connection');
    session.on('close', () => { this.sessions.delete(session); this.say('close'); });
    session.on('error', () => {});
    session.on('bind_transceiver', (pdu) => this.bind(session, pdu));
    session.on('submit_sm', (pdu) => this.submit(session, pdu));
    session.on('query_sm', (pdu) => session.send(pdu.response({
      message_id: pdu.message_id, final_date: '', message_state: 2, error_code: 0,
    })));
    session.on('enquire_link', (pdu) => { this.say('enquire_link'); session.send(pdu.response()); });
    session.on('unbind', (pdu) => { this.say('unbind'); session.send(pdu.response()); session.close(); });
  }

  bind(session, pdu) {
    const { system_id, password, system_type, interface_version } = pdu;
    this.say('bind', { system_id, system_type, interface_version });
    if (system_id === 'hangup') return session.destroy();
    if (system_id === 'silent') return undefined;
    const status = system_id === 'nobody' ? 0x0f : password === 'secret' ? 0 : 0x0e;
    session.send(pdu.response({ command_status: status, system_id: 'centre' }));
    if (status) session.close();
    return undefined;
  }

  submit(session, pdu) {
    const end = pdu.destination_addr.slice(-2);
    const { udh, message } = pdu.short_message;
    this.say('submit', {
      to: pdu.destination_addr, to_kind: [pdu.dest_addr_ton, pdu.dest_addr_npi],
      from: pdu.source_addr, from_kind: [pdu.source_addr_ton, pdu.source_addr_npi],
      text: message, data_coding: pdu.data_coding, esm_class: pdu.esm_class,
      header: udh ? Array.from(udh[0] instanceof Buffer ? udh[0] : udh) : null,
      registered: pdu.registered_delivery, service_type: pdu.service_type,
    });
    if (end === '99') return session.destroy();
    if (end === '98') return undefined;
    if (udh) this.parts += 1;
    if (end === '57' && this.parts === 2) return session.send(pdu.response({ command_status: 0x58 }));
    if (end === '56' && this.parts === 2) return session.send(pdu.response({ command_status: 0x0b }));
    if (end in REFUSALS) return session.send(pdu.response({ command_status: REFUSALS[end] }));
    this.count += 1;
    const hexadecimal = end === '93';
    const id = hexadecimal ? (0xabc0 + this.count).toString(16).toUpperCase() : `m${this.count}`;
    const named = hexadecimal ? String(0xabc0 + this.count) : id;
    if (end === '97') this.receipt(session, pdu, named, 'DELIVRD');
    session.send(pdu.response({ message_id: id }));
    if (end === '96') this.receipt(session, pdu, named, 'UNDELIV');
    else if (end === '94') this.receipt(session, pdu, named, 'DELIVRD', false);
    else if (end === '92' && this.parts === 2) this.receipt(session, pdu, named, 'EXPIRED');
    else if (end !== '97' && end !== '95') this.receipt(session, pdu, named, 'DELIVRD');
    return undefined;
  }

  receipt(session, pdu, id, state, parameters = true) {
    const error = state === 'DELIVRD' ? '000' : '027';
    session.deliver_sm({
      source_addr: pdu.destination_addr, destination_addr: pdu.source_addr, esm_class: 0x04,
      short_message: `id:${id} sub:001 dlvrd:001 submit date:2605031200 done date:2605031201 stat:${state} err:${error} text:`,
      ...(parameters ? { receipted_message_id: id, message_state: STATES[state] } : {}),
    }, (answer) => this.say('deliver_sm_resp', { id, status: answer.command_status }));
  }

  told(word) {
    for (const session of this.sessions) {
      if (word === 'drop') session.destroy();
      if (word === 'enquire_link') session.enquire_link({}, () => this.say('enquire_link_resp'));
      if (word === 'unbind') session.unbind({}, () => { this.say('unbind_resp'); session.close(); });
      if (word === 'message') {
        session.deliver_sm({ source_addr: '79161234567', destination_addr: '1', short_message: 'hello' },
          (answer) => this.say('deliver_sm_resp', { id: null, status: answer.command_status }));
      }
      if (word.startsWith('person ')) {
        session.deliver_sm({
          source_addr: '79161234567', source_addr_ton: 1, source_addr_npi: 1, destination_addr: '1',
          short_message: word.slice('person '.length),
        }, (answer) => this.say('deliver_sm_resp', { id: null, status: answer.command_status }));
      }
    }
  }
}

const control = net.createServer((connection) => {
  const centre = new Centre(connection);
  connection.on('close', () => centre.close());
  connection.on('error', () => {});
  let opened = false;
  readline.createInterface({ input: connection }).on('error', () => {}).on('line', (line) => {
    if (opened) centre.told(line);
    else { opened = true; centre.open(JSON.parse(line)); }
  });
});
control.listen(0, '127.0.0.1', () => process.stdout.write(`${control.address().port}\n`));
process.stdin.on('end', () => process.exit(0)).resume();
