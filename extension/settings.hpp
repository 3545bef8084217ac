// The extension's settings (GUCs), defined in muskrat.cpp.
//
// Used by body.cpp and emit.cpp (the size limit) and message_id.cpp (the trace context). Only the server writes them.
#pragma once

// muskrat.max_body: the most bytes that an event's body may have, in kB; superusers set it.
extern int setting_max_body_kb;

// muskrat.traceparent: W3C trace context of the session's current work; "" when unset. Its check hook lets only
// [0-9a-f-] through, so it stands in JSON without escaping.
extern char* setting_traceparent;

inline int max_body_bytes() { return setting_max_body_kb * 1024; }
