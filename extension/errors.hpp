// The SQLSTATEs of the extension; docs/outbox-protocol.md lists them all. Include after postgres.h.
#pragma once

#define ERRCODE_MUSKRAT_BAD_ATTACHMENT MAKE_SQLSTATE('M', 'K', '0', '0', '4')
#define ERRCODE_MUSKRAT_EVENT_REFUSED MAKE_SQLSTATE('M', 'K', '0', '0', '5')
