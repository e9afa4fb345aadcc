__attribute__((format(printf, 1, 2))) static inline void printk(const char *format, ...)
{
    __builtin_va_list arguments;
    __builtin_va_start(arguments, format);
    cf_port_print(__builtin_va_arg(arguments, const char *)); /* the format is "%s" */
    __builtin_va_end(arguments);
}
