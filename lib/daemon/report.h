/* What is wrong with a configuration file, told on standard error. */
#ifndef OST_DAEMON_REPORT_H
#define OST_DAEMON_REPORT_H

struct ost_report {
    const char *file;  /* as the command line has it */
    unsigned problems; /* reported so far, those not shown too */
};

/* Tell of a problem: "FILE:LINE: sentence", or "FILE: sentence" when line is 0. */
void ost_report(struct ost_report *report, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
