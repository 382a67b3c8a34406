using Gongzhi.Core.Catalog;

namespace Gongzhi.Core.Records.Keys;

/// <summary>One rule that no two current records of a dataset may agree in: the primary key, or a unique field.</summary>
/// <param name="Tag">Part of what is hashed, so that rules do not meet: 0 for the primary key, else 1 + the field's position, which never changes.</param>
/// <param name="Fields">Positions of the fields.</param>
/// <param name="Name">The field or fields, as an error names them.</param>
internal sealed record KeyRule(int Tag, int[] Fields, string Name);

/// <summary>The hashes of one run of rows: rule by rule, each as long as the rows. Zero where a unique field has no value.</summary>
internal sealed class RowHashes(int rules, int rows)
{
    public UInt128[][] ByRule { get; } = [.. Enumerable.Range(0, rules).Select(_ => new UInt128[rows])];

    public void RemoveWhere(ReadOnlySpan<bool> removed)
    {
        foreach (var hashes in ByRule)
        {
            var to = 0;
            for (var r = 0; r < removed.Length; r++)
            {
                if (!removed[r])
                    hashes[to++] = hashes[r];
            }
        }
    }
}

/// <summary>A dataset's rules, and how a row's key becomes a hash. Immutable.</summary>
internal sealed class KeyRules
{
    private const int OnStackMax = 512;
    private readonly byte[] _secret;

    private KeyRules(IReadOnlyList<KeyRule> rules, byte[] secret) => (Rules, _secret) = (rules, secret);

    public IReadOnlyList<KeyRule> Rules { get; }

    public static bool Any(Dataset dataset) => dataset.PrimaryKey.Count > 0 || dataset.Fields.Any(f => f.Constraints.Unique);

    public static KeyRules For(Dataset dataset, byte[] secret)
    {
        var rules = new List<KeyRule>();
        if (dataset.PrimaryKey.Count > 0)
            rules.Add(new KeyRule(0, [.. dataset.PrimaryKey.Select(dataset.IndexOf)], string.Join(", ", dataset.PrimaryKey)));
        for (var f = 0; f < dataset.Fields.Count; f++)
        {
            // A primary key of one field says the same already.
            if (dataset.Fields[f].Constraints.Unique && !(dataset.PrimaryKey.Count == 1 && dataset.PrimaryKey[0] == dataset.Fields[f].Name))
                rules.Add(new KeyRule(1 + f, [f], dataset.Fields[f].Name));
        }
        return new KeyRules(rules, secret);
    }

    /// <summary>Hashes the canonical values of every rule's fields. Safe for several threads.</summary>
    public RowHashes Hash(RowColumns rows)
    {
        var result = new RowHashes(Rules.Count, rows.Rows);
        Span<byte> small = stackalloc byte[OnStackMax];
        for (var k = 0; k < Rules.Count; k++)
        {
            var rule = Rules[k];
            var into = result.ByRule[k];
            for (var r = 0; r < rows.Rows; r++)
            {
                var need = Cbor.HeadMax;
                var absent = false;
                foreach (var f in rule.Fields)
                {
                    // A field that came with a later version has no value in an older row.
                    absent |= f >= rows.Fields.Length || rows.Fields[f].Nulls[r];
                    if (!absent)
                        need += Cbor.HeadMax + (rows.Fields[f].Field.Storage == FieldStorage.Text ? rows.Fields[f].Lengths[r] : 0);
                }
                if (absent)
                    continue;
                var buffer = need <= OnStackMax ? small : new byte[need];
                into[r] = KeyHash.Compute(_secret, buffer[..Write(rows, rule, r, buffer)]);
                if (into[r] == UInt128.Zero)
                    into[r] = UInt128.One;
            }
        }
        return result;
    }

    private static int Write(RowColumns rows, KeyRule rule, int r, Span<byte> to)
    {
        var n = Cbor.WriteInt(to, rule.Tag);
        foreach (var f in rule.Fields)
        {
            var column = rows.Fields[f];
            switch (column.Field.Storage)
            {
                case FieldStorage.Text:
                    n += Cbor.WriteText(to[n..], rows.TextOf(column, r));
                    break;
                case FieldStorage.Double:
                    n += Cbor.WriteDouble(to[n..], column.Double(r));
                    break;
                case FieldStorage.Boolean:
                    to[n++] = column.Values[r] != 0 ? Cbor.True : Cbor.False;
                    break;
                default:
                    n += Cbor.WriteInt(to[n..], column.Values[r]);
                    break;
            }
        }
        return n;
    }
}
