using System.Globalization;
using Microsoft.AspNetCore.Identity;

namespace Gongzhi.Node.Identity;

/// <summary>What Identity says of names and passwords, in the reader's language. Only what this node can answer is here; the rest is never shown.</summary>
internal sealed class PasswordErrors : IdentityErrorDescriber
{
    public override IdentityError PasswordTooShort(int length) =>
        Error(nameof(PasswordTooShort), $"A password has at least {length} characters.", $"密码至少须有 {length} 个字符。");

    public override IdentityError PasswordRequiresUniqueChars(int uniqueChars) =>
        Error(nameof(PasswordRequiresUniqueChars), $"A password has at least {uniqueChars} different characters.", $"密码至少须有 {uniqueChars} 个不同的字符。");

    public override IdentityError PasswordMismatch() => Error(nameof(PasswordMismatch), "The password is not right.", "密码不正确。");

    public override IdentityError InvalidUserName(string? userName) =>
        Error(nameof(InvalidUserName), "A name has 1 to 128 characters.", "用户名须为 1 至 128 个字符。");

    public override IdentityError DuplicateUserName(string userName) =>
        Error(nameof(DuplicateUserName), "There is an account of this name.", "该用户名已被使用。");

    public override IdentityError InvalidToken() =>
        Error(nameof(InvalidToken), "This link is used up or has expired.", "此链接已使用或已过期。");

    public override IdentityError ConcurrencyFailure() =>
        Error(nameof(ConcurrencyFailure), "The account was changed by somebody else; try again.", "账号刚被他人修改，请重试。");

    public override IdentityError DefaultError() => Error(nameof(DefaultError), "It could not be done.", "操作未能完成。");

    internal static IdentityError Error(string code, string english, string chinese) => new() { Code = code, Description = CultureInfo.CurrentUICulture.Name.StartsWith("zh", StringComparison.Ordinal) ? chinese : english };
}
