using System.Text;
using CsCheck;
using Gongzhi.Core.Catalog.ElementTypes;
using Xunit;

namespace Gongzhi.Tests.Unit.Catalog.ElementTypes;

/// <summary>All numbers here are synthetic: made by the standards' own algorithm over the region 990101, which does not exist, but for the two examples a standard prints.</summary>
public sealed class ElementTypesTests
{
    private const string AnIdentity = "99010119900307";

    private static string Identity(string fourteen, int order)
    {
        var seventeen = $"{fourteen}{order:D3}";
        return seventeen + IdentityNumber.CheckDigitOf(seventeen);
    }

    private static ElementFault Fault(string text)
    {
        var ok = IdentityNumber.TryValidate(text, out var fault);
        Assert.Equal(ok, IdentityNumber.TryValidate(Encoding.UTF8.GetBytes(text), out var fromBytes));
        Assert.Equal(fault, fromBytes);
        Assert.Equal(ok, fault == ElementFault.None);
        return fault;
    }

    [Fact]
    public void The_standards_own_example_has_the_check_digit_it_prints()
    {
        // GB 11643-1999, annex: 11010519491231002 is given X, and 44052418800101001 is given 4.
        Assert.Equal('X', IdentityNumber.CheckDigitOf("11010519491231002"));
        Assert.Equal('4', IdentityNumber.CheckDigitOf("44052418800101001"));
    }

    [Fact]
    public void Identity_numbers_pass_and_one_wrong_digit_or_a_swap_does_not() =>
        Gen.Select(Gen.Int[0, 999], Gen.Int[0, 17], Gen.Int[1, 9]).Sample((order, at, change) =>
        {
            var good = Identity(AnIdentity, order);
            Assert.Equal(ElementFault.None, Fault(good));
            if (!char.IsAsciiDigit(good[at])) return;
            var bad = good.ToCharArray();
            bad[at] = (char)('0' + (bad[at] - '0' + change) % 10);
            Assert.NotEqual(ElementFault.None, Fault(new string(bad)));
            if (at is < 14 or > 15 || good[at] == good[at + 1]) return;
            var swapped = good.ToCharArray();
            (swapped[at], swapped[at + 1]) = (swapped[at + 1], swapped[at]);
            Assert.Equal(ElementFault.CheckDigit, Fault(new string(swapped)));
        });

    [Theory]
    [InlineData("", ElementFault.Length)]
    [InlineData("990101900307001", ElementFault.OldForm)]
    [InlineData("99010119900307001", ElementFault.Length)]
    [InlineData("9901011990030700１8", ElementFault.Character)]
    [InlineData("99010119900307X018", ElementFault.Character)]
    [InlineData("99010119900307001Y", ElementFault.Character)]
    [InlineData("090101199003070018", ElementFault.Region)]
    [InlineData("990101199002300018", ElementFault.BirthDate)]
    [InlineData("990101190002290018", ElementFault.BirthDate)]
    [InlineData("990101170001010018", ElementFault.BirthDate)]
    [InlineData("990101999901010018", ElementFault.BirthDate)]
    public void Each_fault_of_an_identity_number_has_its_reason(string text, ElementFault expected)
    {
        IdentityNumber.TryValidate(text, out var fault);
        Assert.Equal(expected, fault);
        Assert.False(IdentityNumber.TryValidate(Encoding.UTF8.GetBytes(text), out _));
    }

    [Fact]
    public void Nobody_is_born_tomorrow()
    {
        var number = Identity("99010120260702", 1);
        Assert.False(IdentityNumber.TryValidate(number, out var fault, new DateOnly(2026, 7, 1)));
        Assert.Equal(ElementFault.BirthDate, fault);
        Assert.True(IdentityNumber.TryValidate(number, out _, new DateOnly(2026, 7, 2)));
    }

    [Fact]
    public void A_small_x_is_made_a_capital()
    {
        var number = Enumerable.Range(0, 100).Select(order => Identity(AnIdentity, order)).First(text => text[17] == 'X');
        Assert.True(IdentityNumber.TryCanonical(number[..17] + "x", out var canonical));
        Assert.Equal(number, canonical);
    }

    [Fact]
    public void Credit_codes_pass_and_one_wrong_character_does_not()
    {
        const string alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY";
        Gen.Select(Gen.Int[0, 30].Array[9], Gen.Int[0, 17], Gen.Int[1, 30]).Sample((values, at, change) =>
        {
            var seventeen = "91990101" + string.Concat(values.Select(value => alphabet[value]));
            var good = seventeen + UnifiedCreditCode.CheckCharacterOf(seventeen);
            Assert.True(UnifiedCreditCode.TryValidate(good, out _));
            Assert.True(UnifiedCreditCode.TryValidate(Encoding.UTF8.GetBytes(good), out _));
            Assert.True(UnifiedCreditCode.TryCanonical(good.ToLowerInvariant(), out var canonical));
            Assert.Equal(good, canonical);
            var bad = good.ToCharArray();
            bad[at] = alphabet[(alphabet.IndexOf(bad[at], StringComparison.Ordinal) + change) % 31];
            Assert.False(UnifiedCreditCode.TryValidate(bad, out _));
        });
    }

    [Theory]
    [InlineData("", ElementFault.Length)]
    [InlineData("91990101MA00000001X", ElementFault.Length)]
    [InlineData("91990101MI0000000X", ElementFault.Character)]
    [InlineData("91990101MO0000000X", ElementFault.Character)]
    [InlineData("91990101MA000000SX", ElementFault.Character)]
    [InlineData("91990101MA0000000Z", ElementFault.Character)]
    [InlineData("91990A01MA00000000", ElementFault.Region)]
    public void Each_fault_of_a_credit_code_has_its_reason(string text, ElementFault expected)
    {
        Assert.False(UnifiedCreditCode.TryValidate(text, out var fault));
        Assert.Equal(expected, fault);
    }

    [Theory]
    [InlineData("13800000000", ElementFault.None)]
    [InlineData("+8613800000000", ElementFault.None)]
    [InlineData("+861000000000", ElementFault.None)]
    [InlineData("+442000000000", ElementFault.None)]
    [InlineData("12000000000", ElementFault.Range)]
    [InlineData("23800000000", ElementFault.Range)]
    [InlineData("+0123456789", ElementFault.Range)]
    [InlineData("1380000000", ElementFault.Length)]
    [InlineData("+861380000000", ElementFault.Length)]
    [InlineData("+123456", ElementFault.Length)]
    [InlineData("+1234567890123456", ElementFault.Length)]
    [InlineData("", ElementFault.Length)]
    [InlineData("138-0000-0000", ElementFault.Character)]
    [InlineData("+", ElementFault.Length)]
    public void Telephone_numbers(string text, ElementFault expected)
    {
        Assert.Equal(expected == ElementFault.None, PhoneNumber.TryValidate(text, out var fault));
        Assert.Equal(expected, fault);
        Assert.Equal(expected == ElementFault.None, PhoneNumber.TryValidate(Encoding.UTF8.GetBytes(text), out _));
    }

    [Fact]
    public void A_mobile_number_is_one_number_with_and_without_its_country_code()
    {
        Assert.True(PhoneNumber.TryCanonical("13800000000", out var canonical));
        Assert.Equal("+8613800000000", canonical);
    }

    [Theory]
    [InlineData("010000", ElementFault.None)]
    [InlineData("100000", ElementFault.None)]
    [InlineData("000000", ElementFault.Range)]
    [InlineData("10000", ElementFault.Length)]
    [InlineData("10000a", ElementFault.Character)]
    public void Postal_codes(string text, ElementFault expected)
    {
        PostalCode.TryValidate(text, out var fault);
        Assert.Equal(expected, fault);
    }

    [Fact]
    public void Checking_does_not_allocate()
    {
        var identity = Encoding.UTF8.GetBytes(Identity(AnIdentity, 1));
        var credit = "91990101MA0000000" + UnifiedCreditCode.CheckCharacterOf("91990101MA0000000");
        IdentityNumber.TryValidate(identity, out _);
        UnifiedCreditCode.TryValidate(credit, out _);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++) _ = IdentityNumber.TryValidate(identity, out _) & UnifiedCreditCode.TryValidate(credit, out _);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void Every_fault_speaks_both_languages()
    {
        foreach (var fault in Enum.GetValues<ElementFault>())
        {
            Assert.StartsWith("element.", fault.Code(), StringComparison.Ordinal);
            Assert.EndsWith(".", fault.English(), StringComparison.Ordinal);
            Assert.EndsWith("。", fault.Chinese(), StringComparison.Ordinal);
        }
    }
}
