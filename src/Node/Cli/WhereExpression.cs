using System.Globalization;
using System.Text.Json.Nodes;

namespace Gongzhi.Node.Cli;

/// <summary>A condition cannot be read; the message says where.</summary>
public sealed class WhereException(string message) : Exception(message);

/// <summary>
/// The condition of <c>gongzhi query --where</c>, turned into the filter of the query API.
/// <code>
/// expr    = and { "or" and } ;  and = unary { "and" unary } ;  unary = "not" unary | "(" expr ")" | compare
/// compare = FIELD ( "=" | "!=" | "&lt;" | "&lt;=" | "&gt;" | "&gt;=" | "within" | "contains" | "startsWith" ) VALUE
///         | FIELD "in" "(" VALUE { "," VALUE } ")" | FIELD "is" [ "not" ] "null"
/// </code>
/// A value is a number, true, false, a bare word (2010-01-31) or a quoted text; a doubled quote inside a quoted text is one quote.
/// Quoted values, and all values of within, contains and startsWith, are texts. A field with other characters is written in `backquotes`.
/// </summary>
public static class WhereExpression
{
    /// <summary>Characters of one condition.</summary>
    public const int LengthMax = 16_384;

    /// <summary>Parentheses and negations inside one another.</summary>
    public const int DepthMax = 32;

    public static JsonObject Parse(string text)
    {
        if (text.Length > LengthMax)
            throw new WhereException($"The condition is longer than {LengthMax} characters.");
        var parser = new Parser(Tokenise(text));
        var filter = parser.Or(0);
        parser.End();
        return filter;
    }

    private enum Kind { Word, Quoted, Field, Symbol, End }

    private readonly record struct Token(Kind Kind, string Text, int Position);

    private static List<Token> Tokenise(string text)
    {
        var tokens = new List<Token>();
        for (var i = 0; i < text.Length;)
        {
            var c = text[i];
            if (char.IsWhiteSpace(c))
            {
                i++;
            }
            else if (c is '"' or '\'' or '`')
            {
                var (content, end) = Quoted(text, i);
                tokens.Add(new Token(c == '`' ? Kind.Field : Kind.Quoted, content, i));
                i = end;
            }
            else if ("()=<>!,".Contains(c, StringComparison.Ordinal))
            {
                var length = i + 1 < text.Length && text.Substring(i, 2) is "<=" or ">=" or "!=" or "<>" or "==" ? 2 : 1;
                tokens.Add(new Token(Kind.Symbol, text.Substring(i, length), i));
                i += length;
            }
            else
            {
                var start = i;
                while (i < text.Length && !char.IsWhiteSpace(text[i]) && !"()=<>!,\"'`".Contains(text[i], StringComparison.Ordinal))
                    i++;
                tokens.Add(new Token(Kind.Word, text[start..i], start));
            }
        }
        tokens.Add(new Token(Kind.End, "", text.Length));
        return tokens;
    }

    private static (string Content, int End) Quoted(string text, int start)
    {
        var content = new System.Text.StringBuilder();
        for (var i = start + 1; i < text.Length; i++)
        {
            if (text[i] != text[start])
                content.Append(text[i]);
            else if (i + 1 < text.Length && text[i + 1] == text[start])
                content.Append(text[i++]);
            else
                return (content.ToString(), i + 1);
        }
        throw new WhereException($"The quote at character {start + 1} is never closed.");
    }

    private sealed class Parser(List<Token> tokens)
    {
        private int _next;

        private Token Peek => tokens[_next];

        public JsonObject Or(int depth) => Joined("or", depth, And);

        private JsonObject And(int depth) => Joined("and", depth, Unary);

        private JsonObject Joined(string word, int depth, Func<int, JsonObject> part)
        {
            var first = part(depth);
            if (!Is(word))
                return first;
            var parts = new JsonArray(first);
            while (Skip(word))
                parts.Add(part(depth));
            return new JsonObject { [word] = parts };
        }

        private JsonObject Unary(int depth)
        {
            if (depth > DepthMax)
                throw new WhereException($"The condition is nested deeper than {DepthMax}.");
            if (Skip("not"))
                return new JsonObject { ["not"] = Unary(depth + 1) };
            if (!SkipSymbol("("))
                return Compare();
            var inner = Or(depth + 1);
            Expect(")");
            return inner;
        }

        private JsonObject Compare()
        {
            var field = Take();
            if (field.Kind is not (Kind.Word or Kind.Field))
                throw Wrong(field, "a field name");
            if (Skip("is"))
            {
                var negated = Skip("not");
                if (!Skip("null"))
                    throw Wrong(Peek, "null");
                var test = new JsonObject { ["field"] = field.Text, ["op"] = "isNull", ["value"] = true };
                return negated ? new JsonObject { ["not"] = test } : test;
            }
            if (Skip("in"))
            {
                Expect("(");
                var values = new JsonArray();
                do
                    values.Add(Value(Take(), asText: false));
                while (SkipSymbol(","));
                Expect(")");
                return new JsonObject { ["field"] = field.Text, ["op"] = "in", ["value"] = values };
            }
            var token = Take();
            var op = token switch
            {
                (Kind.Symbol, "=" or "==", _) => "eq",
                (Kind.Symbol, "!=" or "<>", _) => "ne",
                (Kind.Symbol, "<", _) => "lt",
                (Kind.Symbol, "<=", _) => "le",
                (Kind.Symbol, ">", _) => "gt",
                (Kind.Symbol, ">=", _) => "ge",
                (Kind.Word, var word, _) when Same(word, "within") => "within",
                (Kind.Word, var word, _) when Same(word, "contains") => "contains",
                (Kind.Word, var word, _) when Same(word, "startsWith") => "startsWith",
                _ => throw Wrong(token, "a comparison"),
            };
            return new JsonObject { ["field"] = field.Text, ["op"] = op, ["value"] = Value(Take(), op is "within" or "contains" or "startsWith") };
        }

        private static JsonNode? Value(Token token, bool asText)
        {
            if (token.Kind == Kind.Quoted || (token.Kind == Kind.Word && asText))
                return JsonValue.Create(token.Text);
            if (token.Kind != Kind.Word)
                throw Wrong(token, "a value");
            if (Same(token.Text, "true") || Same(token.Text, "false"))
                return JsonValue.Create(Same(token.Text, "true"));
            // Kept as written, so that no digit of a decimal is lost; 007 and 2010-01-31 are not JSON numbers and stay texts.
            var digits = token.Text.AsSpan().TrimStart('-');
            var number = digits.Length > 0 && (digits.Length == 1 || digits[0] != '0' || digits[1] == '.')
                && char.IsAsciiDigit(digits[0]) && char.IsAsciiDigit(digits[^1])
                && decimal.TryParse(token.Text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out _);
            return number ? JsonNode.Parse(token.Text) : JsonValue.Create(token.Text);
        }

        public void End()
        {
            if (Peek.Kind != Kind.End)
                throw Wrong(Peek, "and, or, or the end");
        }

        private Token Take() => tokens[_next] is { Kind: not Kind.End } token ? tokens[_next++] : tokens[_next];

        private bool Is(string word) => Peek.Kind == Kind.Word && Same(Peek.Text, word);

        private bool Skip(string word)
        {
            if (!Is(word))
                return false;
            _next++;
            return true;
        }

        private bool SkipSymbol(string symbol)
        {
            if (Peek.Kind != Kind.Symbol || Peek.Text != symbol)
                return false;
            _next++;
            return true;
        }

        private void Expect(string symbol)
        {
            if (!SkipSymbol(symbol))
                throw Wrong(Peek, symbol);
        }

        private static bool Same(string a, string b) => string.Equals(a, b, StringComparison.OrdinalIgnoreCase);

        private static WhereException Wrong(Token token, string expected) =>
            new(token.Kind == Kind.End
                ? $"The condition ends where {expected} was expected."
                : $"Character {token.Position + 1}: {expected} was expected, not “{token.Text}”.");
    }
}
