namespace Gongzhi.SampleCity;

/// <summary>The check characters of the identity number (GB 11643) and the unified social credit code (GB 32100, GB 11714).</summary>
internal static class CheckDigits
{
    /// <summary>The 31 characters of a unified social credit code: no I, O, S, V, Z.</summary>
    public const string CreditCodeAlphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY";

    private static ReadOnlySpan<byte> IdentityWeights => [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];

    private static ReadOnlySpan<byte> CreditWeights => [1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28];

    private static ReadOnlySpan<byte> OrganisationWeights => [3, 7, 9, 10, 5, 8, 4, 2];

    /// <param name="first17">Seventeen digits.</param>
    public static char Identity(ReadOnlySpan<char> first17)
    {
        var sum = 0;
        for (var i = 0; i < 17; i++)
            sum += (first17[i] - '0') * IdentityWeights[i];
        return "10X98765432"[sum % 11];
    }

    /// <param name="first17">Seventeen characters of <see cref="CreditCodeAlphabet"/>.</param>
    public static char CreditCode(ReadOnlySpan<char> first17)
    {
        var sum = 0;
        for (var i = 0; i < 17; i++)
            sum += CreditCodeAlphabet.IndexOf(first17[i], StringComparison.Ordinal) * CreditWeights[i];
        return CreditCodeAlphabet[(31 - sum % 31) % 31];
    }

    /// <param name="first8">Eight digits or capital letters.</param>
    public static char OrganisationCode(ReadOnlySpan<char> first8)
    {
        var sum = 0;
        for (var i = 0; i < 8; i++)
            sum += (first8[i] <= '9' ? first8[i] - '0' : first8[i] - 'A' + 10) * OrganisationWeights[i];
        return "0X987654321"[sum % 11];
    }
}
